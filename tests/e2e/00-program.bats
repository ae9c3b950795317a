# SPDX-License-Identifier: Apache-2.0
load helpers

NO_IMAGE=1

@test "the program is there and says its version" {
    try dewar version
    ok
    has "0."
}
