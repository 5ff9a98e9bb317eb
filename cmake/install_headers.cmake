# Run at install time (SOURCE, ROOMS, CMAKE_INSTALL_PREFIX are set): copies the public headers to include/panther/<path from the root>.
#
# A header is public when it shows something (PANTHER_<ROOM>_API) or a public header includes it; backends, kernels' insides and
# families stay out. Computed here and not at configure time, so that it is never stale.
cmake_policy(VERSION 3.26)
set(pending "")
foreach(room ${ROOMS})
  file(GLOB_RECURSE headers RELATIVE "${SOURCE}" "${SOURCE}/${room}/*.h")
  foreach(header ${headers})
    file(STRINGS "${SOURCE}/${header}" shows REGEX "^[^#/]*PANTHER_[A-Z]+_API" LIMIT_COUNT 1)
    if(shows)
      list(APPEND pending ${header})
    endif()
  endforeach()
endforeach()

set(public "")
while(pending)
  list(POP_FRONT pending header)
  if(header IN_LIST public)
    continue()
  endif()
  list(APPEND public ${header})
  file(STRINGS "${SOURCE}/${header}" includes REGEX "^#include \"")
  foreach(line ${includes})
    string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
    list(APPEND pending ${included})
  endforeach()
endwhile()

foreach(header ${public})
  get_filename_component(folder ${header} DIRECTORY)
  file(INSTALL "${SOURCE}/${header}" DESTINATION "${CMAKE_INSTALL_PREFIX}/include/panther/${folder}")
endforeach()
