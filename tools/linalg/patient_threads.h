#pragma once
// How the program's threads wait between two parallel loops.

namespace panther::tools {

/// To be called first in main(). OpenMP's threads spin while they wait, and where another program wants the core a decomposition of many small
/// loops then takes ten times as long. libgomp reads OMP_WAIT_POLICY when it is loaded, so the program starts itself again, once; whoever sets that
/// variable or GOMP_SPINCOUNT keeps his choice.
void let_threads_sleep(char** argv);

}  // namespace panther::tools
