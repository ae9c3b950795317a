// SPDX-License-Identifier: Apache-2.0
// --ssh NAME=FILE[,FILE...]: private keys instead of the socket of an agent. Each such name gets an
// agent of its own (ssh-agent and ssh-add of OpenSSH) that holds these keys while the build goes on
// and ends with this process, however that ends. Keys with a passphrase are refused: nobody is asked
// in the middle of a build.
#pragma once

#include "base/proc.h"
#include "base/vec.h"

struct build_key_agent {
    struct proc proc;
    int hold; // the agent lives while this is open
};
struct build_keys {
    struct strv ssh; // as given, with a socket in place of files
    VEC(struct build_key_agent) agents;
};

// `given`: the values of --ssh; what does not name regular files is taken over as it is. Also after a
// failure build_keys_stop.
int build_keys_start(const struct strv *given, struct build_keys *out, struct err *e);
void build_keys_stop(struct build_keys *k);
