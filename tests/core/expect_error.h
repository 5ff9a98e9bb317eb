#pragma once
// Checks that a call throws panther::Error with a code and with every one of some pieces of text.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "core/error.h"

namespace panther::test {

template <class Call>
void expect_error(ErrorCode code, std::initializer_list<std::string> pieces, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(code)) << error.what();
    for (const std::string& piece : pieces)
      EXPECT_NE(std::string(error.what()).find(piece), std::string::npos) << "'" << piece << "' is not in: " << error.what();
    return;
  }
  ADD_FAILURE() << "no error; expected " << error_code_name(code);
}

}  // namespace panther::test
