#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles policy.txt to classic BPF at build time, as C arrays.

Compiling four hundred rules at every container start would cost more than all the rest of the
start. What depends on the capabilities of a container stays patchable: an instruction "jump to the
next one" whose unused field jf holds the capability's number plus one. The program turns it into
"allow" where the container has the capability, and into a plain no-op where it has not.

Usage: generate.py syscalls.tbl policy.txt output.h
"""
import sys

LD, JEQ, JGE, JSET, JA, AND, RET = 0x20, 0x15, 0x35, 0x45, 0x05, 0x54, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
NR, ARCH, ARG = 0, 4, 16
X32_BIT = 0x40000000
ARCHES = {
    "x86_64": [(0xC000003E, "x86_64"), (0x40000003, "i386")],
    "aarch64": [(0xC00000B7, "aarch64")],
}
CAPS = {name: i for i, name in enumerate(
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE".split())}


def ret(value):
    return [(RET, 0, 0, value)]


def errno(code):
    return ret(ERRNO | code)


def arg(n):  # the low half: what the kernel looks at for an int, whatever the high half holds
    return (LD, 0, 0, ARG + 8 * n)


def with_caps(caps, tail):
    return [(JA, 0, CAPS[c] + 1, 0) for c in caps] + tail


def one_of(n, values, hit, miss):
    """arg n is one of the values: hit, else miss (both one instruction)."""
    code = [arg(n)]
    for i, v in enumerate(values):
        code.append((JEQ, len(values) - i, 0, v))
    return code + miss + hit


SPECIAL = {
    # No new namespaces; without the capability the flags decide.
    "clone": with_caps(["SYS_ADMIN"],
                       [arg(0), (JSET, 0, 1, 0x7E020000)] + errno(EPERM) + ret(ALLOW)),
    # Its flags lie in memory: libc falls back to clone.
    "clone3": with_caps(["SYS_ADMIN"], errno(ENOSYS)),
    # AF_ALG and AF_VSOCK reach kernel code that no container needs.
    "socket": one_of(0, [38, 40], errno(EPERM), ret(ALLOW)),
    # i386: the family lies in memory, so making sockets this way is refused; libc does not use it.
    "socketcall": one_of(0, [1], errno(EPERM), ret(ALLOW)),
    "personality": one_of(0, [0, 8, 0x20000, 0x20008, 0xFFFFFFFF], ret(ALLOW), errno(EPERM)),
    # Typing into the caller's terminal: TIOCSTI and TIOCLINUX.
    "ioctl": one_of(1, [0x5412, 0x541C], errno(EPERM), ret(ALLOW)),
}


def read_table(path):
    columns, table = None, {}
    for line in open(path):
        words = line.split("#")[0].split()
        if not words:
            continue
        if columns is None:
            columns = words[1:]
            continue
        table[words[0]] = {c: int(v) for c, v in zip(columns, words[1:]) if v != "-"}
    return table


def read_policy(path, table):
    """name -> code of its leaf"""
    leaves = {}
    for number, line in enumerate(open(path), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        kind, names = words[0], words[1:]
        for name in names:
            if name not in table:
                sys.exit("%s:%d: unknown system call '%s'" % (path, number, name))
            if kind == "allow":
                leaf = ret(ALLOW)
            elif kind == "check":
                leaf = SPECIAL[name]
            elif kind.startswith("cap:"):
                leaf = with_caps(kind[4:].split("|"), errno(EPERM))
            else:
                sys.exit("%s:%d: unknown word '%s'" % (path, number, kind))
            if name in leaves:
                sys.exit("%s:%d: '%s' stands twice" % (path, number, name))
            leaves[name] = leaf
    return leaves


def numbers_of(table, leaves, arch):
    """number -> leaf; what the table knows and the policy does not name is EPERM."""
    out = {}
    names = [arch, "x32"] if arch == "x86_64" else [arch]
    for column in names:
        for name, where in table.items():
            if column in where:
                out.setdefault(where[column], leaves.get(name, errno(EPERM)))
    return out


def ranges_of(numbers):
    """[(first number, leaf)], neighbours with the same leaf joined; gaps and the rest are ENOSYS."""
    out, top = [], max(numbers)
    for n in range(top + 2):
        leaf = numbers.get(n, errno(ENOSYS))
        if not out or out[-1][1] != leaf:
            out.append((n, leaf))
    return out


def size(ranges):
    """How many instructions spread() makes of them: a leaf of one instruction is shared."""
    if len(ranges) == 1:
        return 0 if len(ranges[0][1]) == 1 else len(ranges[0][1])
    mid = len(ranges) // 2
    return 1 + size(ranges[:mid]) + size(ranges[mid:])


def spread(ranges, at, shared):
    """Binary search over the ranges with the number in the accumulator, as it stands at `at`; `shared`
    says where the leaves of one instruction are."""
    if len(ranges) == 1:
        return [] if len(ranges[0][1]) == 1 else ranges[0][1]
    mid = len(ranges) // 2
    middle = at + 1 + size(ranges[:mid])
    place = [shared[r[0][1][0]] if len(r) == 1 and len(r[0][1]) == 1 else where
             for r, where in ((ranges[:mid], at + 1), (ranges[mid:], middle))]
    below, above = (where - at - 1 for where in place)
    return [(JGE, above, below, ranges[mid][0])] + spread(ranges[:mid], at + 1, shared) + \
        spread(ranges[mid:], middle, shared)


def tree(ranges):
    """The search, and behind it one of each leaf of one instruction: half as many instructions to check
    and to compile at each start as with a leaf for each range."""
    leaves = sorted({leaf[0] for _, leaf in ranges if len(leaf) == 1})
    code = spread(ranges, 0, {leaf: size(ranges) + i for i, leaf in enumerate(leaves)})
    if any(op == JGE and max(jt, jf) > 255 for op, jt, jf, _ in code):
        sys.exit("a jump of the filter is too far: let the leaves stand twice")
    return code + leaves


def program(table, leaves, machine):
    code = [(LD, 0, 0, ARCH)]
    for audit, column in ARCHES[machine]:
        body = [(LD, 0, 0, NR)]
        if column == "x86_64":
            body.append((AND, 0, 0, 0xFFFFFFFF & ~X32_BIT))
        body += tree(ranges_of(numbers_of(table, leaves, column)))
        code += [(JEQ, 1, 0, audit), (JA, 0, 0, len(body))] + body
    return code + ret(KILL)


def main():
    table = read_table(sys.argv[1])
    leaves = read_policy(sys.argv[2], table)
    with open(sys.argv[3], "w") as out:
        out.write("// Made by tools/seccomp/generate.py: do not edit.\n")
        for machine in ARCHES:
            code = program(table, leaves, machine)
            out.write("#if defined(__%s__)\n" % machine)
            out.write("static const struct sock_filter seccomp_program[%d] = {\n" % len(code))
            for op, jt, jf, k in code:
                out.write("    {0x%02x, %d, %d, 0x%08xu},\n" % (op, jt, jf, k))
            out.write("};\n#endif\n")


main()
