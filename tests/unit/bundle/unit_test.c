// SPDX-License-Identifier: Apache-2.0
#include "base/own.h"
#include "bundle/internal.h"
#include "codec/json.h"
#include "harness.h"

static void limits_become_properties(void **state)
{
    (void)state;
    static const struct {
        const char *resources, *properties;
    } rows[] = {
        {"{}", ""},
        {"{'memory':{'limit':33554432,'reservation':1000,'swap':50331648}}",
         "MemoryMax=33554432\nMemoryLow=1000\nMemorySwapMax=16777216\n"},
        {"{'memory':{'limit':-1,'swap':-1}}", "MemoryMax=infinity\nMemorySwapMax=infinity\n"},
        {"{'memory':{'limit':4096,'swap':4096}}", "MemoryMax=4096\nMemorySwapMax=0\n"},
        {"{'memory':{'limit':0},'pids':{'limit':0},'cpu':{'quota':0}}", ""},
        {"{'pids':{'limit':-1}}", "TasksMax=infinity\n"},
        {"{'pids':{'limit':7}}", "TasksMax=7\n"},
        {"{'cpu':{'shares':1024}}", "CPUWeight=39\n"},
        {"{'cpu':{'idle':1}}", "CPUWeight=0\n"},
        {"{'cpu':{'quota':50000}}", "CPUQuotaPerSecUSec=500000\n"},
        {"{'cpu':{'quota':25500,'period':100000}}",
         "CPUQuotaPeriodUSec=100000\nCPUQuotaPerSecUSec=260000\n"},
        {"{'cpu':{'quota':-1}}", "CPUQuotaPerSecUSec=infinity\n"},
        {"{'cpu':{'cpus':'0-2,9','mems':'0'}}", "AllowedCPUs=0702\nAllowedMemoryNodes=01\n"},
        {"{'cpu':{'cpus':'odd'}}", ""},
        {"{'cpu':{'cpus':'3-1'}}", ""},
        {"{'cpu':{'cpus':'99999999'}}", ""},
        {"{'blockIO':{'weight':1000}}", "IOWeight=10000\n"},
        {"{'unified':{'memory.max':'max','memory.high':'5000','pids.max':'9'}}",
         "MemoryMax=infinity\nMemoryHigh=5000\nTasksMax=9\n"},
        {"{'unified':{'cpu.max':'50000 100000','cpuset.cpus':'1'}}",
         "CPUQuotaPeriodUSec=100000\nCPUQuotaPerSecUSec=500000\nAllowedCPUs=02\n"},
        {"{'unified':{'cpu.max':'max','io.max':'8:0 rbps=1'}}", "CPUQuotaPerSecUSec=infinity\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        own(str) struct str text = {0}, got = {0};
        own(codec_json) struct codec_json *j = NULL;
        for (const char *c = rows[i].resources; *c; c++) str_addc(&text, *c == '\'' ? '"' : *c);
        ASSERT_OK(codec_json_parse(str_sv(&text), "row", &j, &e));
        bundle_unit_print(j, &got);
        assert_string_equal(str_z(&got), rows[i].properties);
    }
}

RUN_TESTS("bundle/unit", TEST(limits_become_properties))
