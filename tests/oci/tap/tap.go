// SPDX-License-Identifier: Apache-2.0

// Package tap prints Test Anything Protocol lines. The specification's validation programs import a
// package of this name and form that Debian does not have; this is ours, with what they call.
package tap

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// T counts the tests of one program.
type T struct {
	count int
}

// Later is for a test that its author has not finished.
type Later struct {
	t *T
}

// New begins a program's tests.
func New() *T {
	return &T{}
}

// Header starts the output; a plan of 0 tests means that AutoPlan gives their number at the end.
func (t *T) Header(plan int) {
	fmt.Println("TAP version 13")
	if plan > 0 {
		fmt.Printf("1..%d\n", plan)
	}
}

// AutoPlan tells how many tests there were.
func (t *T) AutoPlan() {
	fmt.Printf("1..%d\n", t.count)
}

// Ok is one test's line.
func (t *T) Ok(passed bool, name string) {
	t.count++
	word := "ok"
	if !passed {
		word = "not ok"
	}
	fmt.Printf("%s %d - %s\n", word, t.count, strings.ReplaceAll(name, "\n", " "))
}

// Pass is a test that went well.
func (t *T) Pass(name string) {
	t.Ok(true, name)
}

// Fail is a test that did not.
func (t *T) Fail(name string) {
	t.Ok(false, name)
}

// Skip counts tests that were not run.
func (t *T) Skip(count int, reason string) {
	for i := 0; i < count; i++ {
		t.count++
		fmt.Printf("ok %d # SKIP %s\n", t.count, reason)
	}
}

// Todo is in front of a Fail that counts as none.
func (t *T) Todo() Later {
	return Later{t}
}

// Fail says what is not finished.
func (l Later) Fail(name string) {
	l.t.count++
	fmt.Printf("not ok %d # TODO %s\n", l.t.count, name)
}

// Diagnostic prints text as comments.
func (t *T) Diagnostic(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Println("# " + line)
	}
}

// Diagnosticf is Diagnostic with a format.
func (t *T) Diagnosticf(format string, args ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, args...))
}

// YAML is a block of details behind a test; JSON is YAML too.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "  ---\n  %s\n  ...\n", text)
	return err
}
