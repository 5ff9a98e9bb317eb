#include "tools/linalg/patient_threads.h"

#include <unistd.h>

#include <cstdlib>

namespace panther::tools {

void let_threads_sleep(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", argv);  // where it cannot, spinning threads are slower but right
}

}  // namespace panther::tools
