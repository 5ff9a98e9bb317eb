# Run at install time, after everything else is in CMAKE_INSTALL_PREFIX: copies the Debian libraries that the installed programs load.
# What the machine brings stays out: the base system (glibc of this Debian or newer), torch's libraries and CUDA's.
# InfiniBand's libraries must fit the machine's driver: they go to lib/fallback, which run.sh uses only where the machine has none.
cmake_policy(VERSION 3.26)
file(GLOB programs "${CMAKE_INSTALL_PREFIX}/bin/*")
file(GLOB libraries "${CMAKE_INSTALL_PREFIX}/lib/libpanther_*.so")
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${programs} LIBRARIES ${libraries}
  RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR unresolved
  PRE_EXCLUDE_REGEXES "^lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\\+\\+|gomp)\\.so" "^ld-linux" "^lib(torch|c10|cu|nccl|nv)" "^libpanther_")
if(unresolved)
  message(FATAL_ERROR "nobody brings these libraries, which the installed programs need: ${unresolved}")
endif()
foreach(library ${found})
  set(folder lib)
  if(library MATCHES "/lib(ibverbs|nl-)")
    set(folder lib/fallback)
  endif()
  file(INSTALL ${library} DESTINATION "${CMAKE_INSTALL_PREFIX}/${folder}" FOLLOW_SYMLINK_CHAIN)
endforeach()
