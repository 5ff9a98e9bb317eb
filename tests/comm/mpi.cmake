# The contract under mpirun: mpi_contract.<kind>.np<ranks>, one program of all ranks.
if(PANTHER_WITH_MPI)
  panther_program(mpi_contract_test SOURCES mpi_contract_test.cpp collective_contract.cpp LINK panther_comm panther_kernels GTest::gtest)

  # panther_mpi_test(<name> <kind> <ranks> arguments...)
  function(panther_mpi_test name kind ranks)
    find_program(PANTHER_MPIRUN_${kind} NAMES mpirun.${kind} mpirun)
    set(options "")
    if(kind STREQUAL "openmpi")
      set(options --oversubscribe)
    endif()
    add_test(NAME ${name} COMMAND ${PANTHER_MPIRUN_${kind}} ${options} -np ${ranks} $<TARGET_FILE:mpi_contract_test> ${ARGN})
    set_tests_properties(${name} PROPERTIES LABELS mpi TIMEOUT 180 PROCESSORS 2
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=1")
  endfunction()

  foreach(kind ${PANTHER_MPI_KINDS})
    foreach(ranks 1 2 3 4)
      panther_mpi_test(mpi_contract.${kind}.np${ranks} ${kind} ${ranks} --gtest_filter=MpiContract.*)
    endforeach()
    # These leave MPI unfinished, at which mpirun complains: the words of the program decide.
    foreach(failure Deadline Abort)
      panther_mpi_test(mpi_failure.${failure}.${kind} ${kind} 2 --gtest_filter=MpiFailure.${failure})
      set_tests_properties(mpi_failure.${failure}.${kind} PROPERTIES PASS_REGULAR_EXPRESSION "all checks of rank 0 passed"
        FAIL_REGULAR_EXPRESSION "Failure on rank;: Failure")
    endforeach()
    panther_mpi_test(mpi_contract.${kind}.wrong_world ${kind} 2 --expect-wrong-world)
    set_tests_properties(mpi_contract.${kind}.wrong_world PROPERTIES PASS_REGULAR_EXPRESSION "the environment says rank [01] of 3, but .* says rank")
  endforeach()
endif()
