package demo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestOnlyTheFoldersOfDeadDemosAreSwept(t *testing.T) {
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	cases := map[string]bool{ // whether it stays
		fmt.Sprintf("%s%d-1", folder, os.Getpid()):      true,
		fmt.Sprintf("%s%d-1", folder, gone.Process.Pid): false,
		folder + "notes-1":                              true,
		"other-1-1":                                     true,
	}
	for name := range cases {
		if err := os.MkdirAll(filepath.Join(temp, name, "kubernetes"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweep(temp); err != nil {
		t.Fatal(err)
	}
	for name, stays := range cases {
		if _, err := os.Stat(filepath.Join(temp, name)); stays != (err == nil) {
			t.Errorf("%s: %v, stays %v", name, err, stays)
		}
	}
}
