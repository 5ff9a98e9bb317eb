# LibTorch from the PyPI wheel, found without importing it. Defines LibTorch::torch (and LibTorch_CUDA when torch_cuda is there).
#
# Torch's include folders go by -idirafter: its fmt and protobuf headers would otherwise shadow the system's. torch_cuda is
# linked with --no-as-needed, or its kernels never register. libstdc++ stands before it: torch exports a std::filesystem of
# its own, whose remove_all jumps to address 0 when a program's calls bind to it. Never find_package(Torch): it overrides CUDA settings.
set(PANTHER_TORCH_ROOT "" CACHE PATH "folder of the torch package (holds include/ and lib/)")
if(NOT PANTHER_TORCH_ROOT)
  file(GLOB _venv_torch "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  if(_venv_torch)
    list(GET _venv_torch 0 PANTHER_TORCH_ROOT)
  else()
    execute_process(COMMAND python3 -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE PANTHER_TORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_library(LibTorch_LIBRARY torch_cpu PATHS "${PANTHER_TORCH_ROOT}/lib" NO_DEFAULT_PATH)
find_library(LibTorch_CUDA_LIBRARY torch_cuda PATHS "${PANTHER_TORCH_ROOT}/lib" NO_DEFAULT_PATH)
if(EXISTS "${PANTHER_TORCH_ROOT}/version.py")
  file(STRINGS "${PANTHER_TORCH_ROOT}/version.py" _torch_version REGEX "^__version__ = ")
  string(REGEX REPLACE ".*'([0-9.]+).*" "\\1" LibTorch_VERSION "${_torch_version}")
endif()
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_LIBRARY VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run deploy/bootstrap.sh, or set PANTHER_TORCH_ROOT to the folder of the torch package")
if(LibTorch_FOUND AND NOT TARGET LibTorch::torch)
  get_filename_component(_site "${PANTHER_TORCH_ROOT}" DIRECTORY)
  set(LibTorch_RPATH "${PANTHER_TORCH_ROOT}/lib;${_site}/nvidia/cusparselt/lib;${_site}/nvidia/nvshmem/lib;${_site}/nvidia/cu13/lib")
  add_library(LibTorch::torch INTERFACE IMPORTED)
  target_compile_options(LibTorch::torch INTERFACE
    "SHELL:-idirafter ${PANTHER_TORCH_ROOT}/include" "SHELL:-idirafter ${PANTHER_TORCH_ROOT}/include/torch/csrc/api/include")
  target_link_directories(LibTorch::torch INTERFACE "${PANTHER_TORCH_ROOT}/lib")
  if(LibTorch_CUDA_LIBRARY)
    target_link_libraries(LibTorch::torch INTERFACE "-Wl,--no-as-needed,-lstdc++,-ltorch,-ltorch_cpu,-ltorch_cuda,-lc10,-lc10_cuda,--as-needed")
  else()
    target_link_libraries(LibTorch::torch INTERFACE "-Wl,--no-as-needed,-lstdc++,-ltorch,-ltorch_cpu,-lc10,--as-needed")
  endif()
  string(REPLACE ";" ":" _rpath_link "${LibTorch_RPATH}")
  target_link_options(LibTorch::torch INTERFACE "-Wl,-rpath-link,${_rpath_link}:/usr/local/cuda/lib64")
endif()
