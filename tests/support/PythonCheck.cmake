# panther_python_check(<name> PROGRAM target FILTER cases SCRIPT file.py [LABELS ...]): cases of a test program write files, a Python
# script compares them with an independent implementation. Skipped, and said so, where PANTHER_PYTHON is absent.
set(PANTHER_PYTHON "${PROJECT_SOURCE_DIR}/.venv/bin/python" CACHE FILEPATH "Python with the packages that tests compare with")
set(PANTHER_PYTHON_CHECK "${CMAKE_CURRENT_LIST_DIR}/python_check.sh")

function(panther_python_check name)
  cmake_parse_arguments(ARG "" "PROGRAM;FILTER;SCRIPT" "LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  get_filename_component(script "${ARG_SCRIPT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_LIST_DIR}")
  add_test(NAME ${name} COMMAND ${PANTHER_PYTHON_CHECK} ${PANTHER_PYTHON} ${script} $<TARGET_FILE:${ARG_PROGRAM}> ${ARG_FILTER})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()
