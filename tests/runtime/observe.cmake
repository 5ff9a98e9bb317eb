include(${PROJECT_SOURCE_DIR}/tests/support/PythonCheck.cmake)
panther_runtime_test(runtime_observe_test SOURCES observe/metrics_test.cpp observe/progress_test.cpp observe/timeline_test.cpp
  LINK ${CMAKE_DL_LIBS} util)
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "runtime_observe_test:Memory.*:PeakFlops.*")

# TensorBoard's own reader and tbparse.
panther_python_check(runtime_observe_tensorboard PROGRAM runtime_observe_test FILTER "TensorBoardReference.*"
  SCRIPT observe/tensorboard_reference.py)
