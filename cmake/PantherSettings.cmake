# Settings every target shares: language, visibility, warnings, output folders, linker, compiler cache, sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
# Installed programs and libraries find each other wherever the tree is moved to.
set(CMAKE_INSTALL_RPATH "$ORIGIN:$ORIGIN/../lib")
include(GNUInstallDirs)
set(CMAKE_INSTALL_LIBDIR lib)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(PANTHER_CCACHE ccache)
if(PANTHER_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need these allowances to be cached.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${PANTHER_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${PANTHER_CCACHE})
endif()

find_program(PANTHER_MOLD mold)
if(PANTHER_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Warnings for our own targets; vendors' headers are system headers.
add_library(panther_warnings INTERFACE)
target_compile_options(panther_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wswitch
    $<$<BOOL:${PANTHER_WERROR}>:-Werror>>)

if(PANTHER_SANITIZE)
  string(REPLACE ";" "," sanitizers "${PANTHER_SANITIZE}")
  add_compile_options(-fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_compile_options(panther_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)  # wrong about torch with sanitizers on
  add_link_options(-fsanitize=${sanitizers})
endif()

# panther_library(<room> SOURCES ... [PUBLIC targets...] [PRIVATE targets...]): shared library libpanther_<room>, alias panther::<room>.
function(panther_library room)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(panther_${room} SHARED ${ARG_SOURCES})
  add_library(panther::${room} ALIAS panther_${room})
  set_target_properties(panther_${room} PROPERTIES EXPORT_NAME ${room} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  target_include_directories(panther_${room} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/panther>)
  target_compile_features(panther_${room} PUBLIC cxx_std_20)
  target_link_libraries(panther_${room} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} $<BUILD_INTERFACE:panther_warnings>)
endfunction()

# panther_program(<name> SOURCES ... LINK targets...)
function(panther_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} panther_warnings)
endfunction()
