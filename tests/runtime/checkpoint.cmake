panther_runtime_test(runtime_checkpoint_test
  SOURCES checkpoint_test.cpp checkpoint_damage_test.cpp checkpoint_kill_test.cpp checkpoint_manifest_test.cpp checkpoint_python_test.cpp)
target_compile_definitions(runtime_checkpoint_test PRIVATE PANTHER_TEST_PYTHON="${PROJECT_SOURCE_DIR}/.venv/bin/python")
