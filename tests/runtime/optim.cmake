include(${PROJECT_SOURCE_DIR}/tests/support/PythonCheck.cmake)
panther_runtime_test(runtime_optim_test SOURCES optim/optimizer_test.cpp optim/schedule_test.cpp)

# The same steps by torch.optim, in Python.
panther_python_check(runtime_optim_torch PROGRAM runtime_optim_test FILTER "TorchReference.*" SCRIPT optim/torch_reference.py)
set_property(GLOBAL APPEND PROPERTY PANTHER_GPU_TESTS "runtime_optim_test:Optimizer.*")
