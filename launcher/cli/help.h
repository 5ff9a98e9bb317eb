#pragma once
// Texts for people.
#include <string>

namespace panther::launcher {

/// What `panther` alone prints: what it is, its commands, how to begin.
std::string overview_text();
std::string version_text();

/// What `panther launch --help` prints.
std::string launch_text();

}  // namespace panther::launcher
