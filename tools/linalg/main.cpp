// panther-linalg: decompositions of matrices in files. `panther linalg ...` becomes this program.
#include <cstdio>

#include "core/error.h"
#include "core/exit_code.h"
#include "tools/linalg/command.h"
#include "tools/linalg/patient_threads.h"
#include "tools/linalg/temporaries.h"

namespace {

int body(int argc, char** argv) { return panther::tools::linalg_command({argv + 1, argv + argc}); }

}  // namespace

int main(int argc, char** argv) {
  panther::tools::let_threads_sleep(argv);
  panther::tools::remove_temporaries_on_signals();
  const int code = panther::run_main(&body, argc, argv);
  std::fflush(nullptr);
  return code;
}
