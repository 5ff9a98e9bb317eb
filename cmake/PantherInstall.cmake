# What `cmake --install` and the TGZ hold: libraries, programs, public headers and the CMake package (panther-config.cmake.in).
# Everything finds everything else through $ORIGIN, so the tree may be moved. With PANTHER_BUNDLE it also carries what a machine
# with nothing but torch lacks: see PantherBundle.cmake.
include(CMakePackageConfigHelpers)
option(PANTHER_BUNDLE "install what a bare GPU machine lacks too: Debian libraries, gpu tests, benches, run.sh" OFF)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/panther)

set(panther_components core kernels comm)
set(kernels_targets panther_core panther_kernels)
set(comm_targets panther_rendezvous panther_comm)
set(export_sets kernels comm)
set(programs panther panther-linalg panther-bench)
set(rooms core kernels comm)
if(PANTHER_WITH_TORCH)
  list(APPEND panther_components runtime)
  list(APPEND export_sets runtime)
  list(APPEND programs panther-worker)
  list(APPEND rooms runtime)
  set(runtime_targets panther_runtime)
  find_package(LibTorch REQUIRED)
endif()
# One module for each MPI this machine has, opened at run time from the folder of the libraries.
set(modules ${PANTHER_MPI_KINDS})
list(TRANSFORM modules PREPEND panther_mpi_)

# What a user needs, without the tests.
add_custom_target(panther-programs DEPENDS ${programs} ${modules})

# A bundle must not look for torch where it was built; an installation on this machine should find it there.
if(PANTHER_WITH_TORCH AND NOT PANTHER_BUNDLE)
  set_property(TARGET panther_runtime panther-worker APPEND PROPERTY INSTALL_RPATH ${LibTorch_RPATH})
endif()

install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${modules} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(set ${export_sets})
  install(TARGETS ${${set}_targets} EXPORT panther-${set}-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT panther-${set}-targets NAMESPACE panther:: DESTINATION ${package_folder} COMPONENT development)
endforeach()
install(CODE "set(SOURCE \"${PROJECT_SOURCE_DIR}\")\nset(ROOMS \"${rooms}\")" COMPONENT development)
install(SCRIPT "${CMAKE_CURRENT_LIST_DIR}/install_headers.cmake" COMPONENT development)

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/panther-config.cmake.in" "${PROJECT_BINARY_DIR}/panther-config.cmake"
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/panther-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/panther-config.cmake" "${PROJECT_BINARY_DIR}/panther-config-version.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindLibTorch.cmake" DESTINATION ${package_folder} COMPONENT development)

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_VENDOR panther)
set(CPACK_STRIP_FILES ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
include(CPack)

if(PANTHER_BUNDLE)
  include(PantherBundle)
endif()
