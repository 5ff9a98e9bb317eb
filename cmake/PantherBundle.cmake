# Extras of the gpu-bundle preset: what a machine with a GPU, Python's torch and nothing else lacks. Included by PantherInstall.cmake.

# Test programs that need a GPU, recorded by panther_test as <program>[:<GoogleTest filter>], and the benches.
get_property(gpu_tests GLOBAL PROPERTY PANTHER_GPU_TESTS)
get_property(benches GLOBAL PROPERTY PANTHER_BENCHES)
list(TRANSFORM gpu_tests REPLACE ":.*" "" OUTPUT_VARIABLE test_programs)
add_custom_target(panther-bundle DEPENDS panther-programs ${test_programs} ${benches})
install(TARGETS ${test_programs} ${benches} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
string(REPLACE ";" "\n" lines "${gpu_tests}")
file(WRITE "${PROJECT_BINARY_DIR}/gpu_tests" "${lines}\n")
file(WRITE "${PROJECT_BINARY_DIR}/torch_version" "${LibTorch_VERSION}\n")
install(FILES "${PROJECT_BINARY_DIR}/gpu_tests" "${PROJECT_BINARY_DIR}/torch_version" DESTINATION share/panther)
install(PROGRAMS "${PROJECT_SOURCE_DIR}/deploy/bundle/run.sh" DESTINATION .)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples/01_sketched_gpt" DESTINATION examples FILES_MATCHING PATTERN "*.toml" PATTERN "README.md")
install(SCRIPT "${CMAKE_CURRENT_LIST_DIR}/install_dependencies.cmake")
