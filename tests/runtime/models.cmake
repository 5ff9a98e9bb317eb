panther_runtime_test(runtime_models_test SOURCES models_test.cpp gpt_reference_test.cpp)

# The same GPT by torch.nn, in Python: it writes files that the test above reads. Without that Python the cases skip.
set(PANTHER_PYTHON "${PROJECT_SOURCE_DIR}/.venv/bin/python" CACHE FILEPATH "Python with torch and safetensors, for reference values in tests")
if(EXISTS "${PANTHER_PYTHON}")
  set(_reference "${CMAKE_CURRENT_BINARY_DIR}/reference_gpt")
  string(REPLACE ";" ":" _torch_libraries "${PANTHER_TORCH_RPATH};/usr/local/cuda/lib64")
  add_test(NAME runtime_models_reference COMMAND "${PANTHER_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/reference_gpt.py" "${_reference}")
  set_tests_properties(runtime_models_reference PROPERTIES LABELS unit TIMEOUT 300 FIXTURES_SETUP reference_gpt
    ENVIRONMENT "LD_LIBRARY_PATH=${_torch_libraries}")
  set_tests_properties(runtime_models_test PROPERTIES FIXTURES_REQUIRED reference_gpt ENVIRONMENT "PANTHER_REFERENCE_GPT=${_reference}")
endif()
