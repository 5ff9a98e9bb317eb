#include "launcher/cli/help.h"

#include "core/text.h"
#include "launcher/cli/command_line.h"

namespace panther::launcher {

std::string version_text() { return concat("panther ", PANTHER_VERSION, "\n"); }

std::string launch_text() {
  return "usage: panther launch [--nproc N] [--] PROGRAM [ARGUMENTS]...\n"
         "  --nproc N                 ranks to start on this machine (1)\n"
         "  --                        ends the options; everything behind it is the program's\n"
         "  --help                    this text\n"
         "\n"
         "PROGRAM is a path or is looked up in PATH. Each rank finds RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT (torchrun's\n"
         "names) in its environment, and PANTHER_STORE, which join_world() of the library reads. Output is shown with the rank in front. When one rank\n"
         "fails the others are stopped; its exit code is the job's. See examples/06_your_own_model.\n";
}

std::string overview_text() {
  std::string text =
      "panther: trains models of sketched layers on one machine or many ranks; decomposes matrices by randomization\n"
      "\n"
      "usage: panther COMMAND [ARGUMENTS]\n"
      "\n";
  for (const Subcommand& each : subcommands()) {
    std::string left = concat("  ", each.name);
    left.resize(12, ' ');
    text += concat(left, each.help, "\n");
    if (*each.arguments != '\0') text += concat("              ", each.arguments, "\n");
  }
  return text +
         "\n"
         "begin with\n"
         "  panther doctor                                                  is everything here?\n"
         "  panther train examples/01_sketched_gpt/train.toml --nproc 2     two ranks on this machine\n"
         "  mpirun -np 4 panther train CONFIG.toml                          ranks that MPI starts (srun and torchrun alike)\n"
         "  panther linalg svd MATRIX.npy -o OUT.npy --rank 50 --plot S.svg  leading singular values and vectors\n"
         "\n"
         "`panther help COMMAND` shows a command's options, `panther train --keys` every configuration key.\n";
}

}  // namespace panther::launcher
