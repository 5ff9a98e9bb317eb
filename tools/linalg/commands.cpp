#include "core/arguments.h"
#include "core/error.h"
#include "tools/linalg/options.h"
#include "tools/linalg/request.h"
#include "tools/linalg/work.h"

namespace panther::tools {

const std::vector<LinalgCommand>& linalg_commands() {
  static const std::vector<LinalgCommand> kCommands{
      {"svd",
       "IN -o OUT",
       "leading singular values and vectors, A ~ U diag(S) V^T",
       "u (m x k), s (k), vt (k x n)",
       {{"rsvd", "randomized range finder with power iterations (default)"},
        {"krylov", "block Krylov: fewer passes on slowly falling spectra"},
        {"single-pass", "reads A once, row block by row block; for matrices larger than memory"},
        {"lapack", "every singular value, exactly (gesdd); the reference"}},
       "  panther linalg svd photos.npy -o pca.npy --rank 50 --plot values.svg     pca.u.npy pca.s.npy pca.vt.npy and a plot\n"
       "  panther linalg svd weights.safetensors --tensor layer.0.weight -o w.safetensors --tol 0.01 --check\n"
       "  panther linalg svd huge.npy -o huge.npy.svd.safetensors --rank 20 --memory 4GiB\n",
       &run_svd},
      {"qr",
       "IN -o OUT",
       "QR with column pivoting, A P = Q R",
       "q (m x r), r (r x n), pivots (n; 0-based columns of A)",
       {{"cqrrpt", "tall A (m >= n): sketch, pivot the sketch, Cholesky QR (default when m >= 2 n)"},
        {"bqrrp", "any A: blocks of columns pivoted by a sketch (default otherwise)"},
        {"cqrrt", "tall A without pivots: randomized Cholesky QR"},
        {"lapack", "geqp3; the reference"}},
       "  panther linalg qr tall.npy -o qr.npy                       qr.q.npy qr.r.npy qr.pivots.npy\n"
       "  panther linalg qr tall.npy -o qr.safetensors --method cqrrt --check\n",
       &run_qr},
      {"lstsq",
       "A B -o OUT",
       "x that minimizes ||A x - b||, for every column of B",
       "x (n x c)",
       {{"sketch", "sketch-and-precondition with LSQR (default)"}, {"lapack", "Householder QR; the reference"}},
       "  panther linalg lstsq design.npy targets.npy -o x.npy --check\n",
       &run_lstsq},
      {"id",
       "IN -o OUT",
       "interpolative decomposition, A ~ A[:, columns] T",
       "columns (k), t (k x n)",
       {{"sketch", "pivoted QR of a sketch (default)"}},
       "  panther linalg id genes.npy -o id.npy --rank 30 --check\n",
       &run_interpolative},
      {"cur",
       "IN -o OUT",
       "A ~ C U R of columns and rows of A itself",
       "columns (k), rows (k), c (m x k), u (k x k), r (k x n)",
       {{"sketch", "columns and rows by pivoted QR of sketches (default)"}},
       "  panther linalg cur ratings.npy -o cur.safetensors --rank 30 --check\n",
       &run_cur},
      {"nystrom",
       "IN -o OUT",
       "eigenvalues and vectors of a symmetric positive semidefinite A ~ V diag(W) V^T",
       "v (n x k), w (k, descending)",
       {{"nystrom", "one pass over A (default)"}, {"eigsh", "range finder with power iterations; A may be indefinite"}},
       "  panther linalg nystrom kernel.npy -o k.npy --rank 100 --check\n",
       &run_nystrom},
      {"sketch",
       "IN -o OUT",
       "S A with a random operator S (k x m) that is never stored; scaled so that E[S^T S] = I",
       "the sketch (k x n)",
       {{"saso", "sparse signs, 4 a column (default)"},
        {"gaussian", "normal entries"},
        {"rademacher", "signs"},
        {"uniform", "uniform entries"},
        {"count_sketch", "one sign a column"},
        {"laso", "sparse signs, 4 a row"},
        {"srht", "subsampled randomized Hadamard transform"},
        {"haar", "orthonormal rows"},
        {"multi_sketch", "count_sketch, then gaussian"}},
       "  panther linalg sketch log.npy -o small.npy --rank 2000 --method srht --seed 7\n",
       &run_sketch}};
  return kCommands;
}

const LinalgCommand& find_linalg_command(const std::string& name) {
  std::vector<std::string> names;
  for (const LinalgCommand& command : linalg_commands()) {
    if (name == command.name) return command;
    names.emplace_back(command.name);
  }
  const std::string near = nearest(name, names);
  fail(ErrorCode::InvalidArgument, "unknown command '", name, "'", near.empty() ? "." : concat("; did you mean '", near, "'?"),
       " Known: ", join(names), ". `panther linalg --help` says what they do");
}

std::string linalg_overview() {
  std::string text =
      "panther linalg: decompositions of large matrices by randomization\n\n"
      "usage: panther linalg COMMAND IN [IN2] -o OUT [options]\n\n";
  for (const LinalgCommand& command : linalg_commands()) {
    std::string left = concat("  ", command.name);
    left.resize(12, ' ');
    text += concat(left, command.help, "\n");
  }
  return text +
         "\nIN is a .npy file (numpy.save) or a .safetensors file (then --tensor NAME), memory-mapped. OUT.npy with several factors "
         "becomes OUT.u.npy,\n"
         "OUT.s.npy ...; OUT.safetensors holds all of them. Files appear whole or not at all. `panther linalg COMMAND --help` shows "
         "options and examples.\n";
}

std::string linalg_help(const LinalgCommand& command) {
  std::string text = concat(
      "panther linalg ", command.name, ": ", command.help, "\n  results: ", command.results, "\n\n",
      Arguments(concat("panther linalg ", command.name, " ", command.arguments, " [options]"), linalg_options(command.name), {}).help(),
      "\nmethods:\n");
  for (const LinalgMethod& method : command.methods) {
    std::string left = concat("  ", method.name);
    left.resize(16, ' ');
    text += concat(left, method.help, "\n");
  }
  return text + concat("\nexamples:\n", command.examples);
}

}  // namespace panther::tools
