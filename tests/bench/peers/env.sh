# Sourced: Python with torch for the peers, and the libraries the lean torch installation loads at import.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
PYTHON=${PANTHER_PYTHON:-$ROOT/.venv/bin/python}
site=$(echo "$ROOT"/.venv/lib/python3*/site-packages)
export LD_LIBRARY_PATH=$site/torch/lib:$site/nvidia/cusparselt/lib:$site/nvidia/nvshmem/lib:$site/nvidia/cu13/lib:/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
