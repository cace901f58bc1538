package gitea_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"slipway/test/servers"
	"slipway/test/servers/gitea"
)

func TestWithoutTheBinariesTheErrorSaysRunMakeServers(t *testing.T) {
	_, err := gitea.FindBinaries(t.TempDir())
	if !errors.Is(err, servers.ErrNotBuilt) || !strings.Contains(err.Error(), "run make servers") {
		t.Errorf("the error is %v", err)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	binaries, err := gitea.FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	running := forge(t)
	_, port, _ := strings.Cut(running.Registry(), ":")
	_, err = gitea.Start(t.Context(), gitea.Config{Binaries: binaries, Dir: t.TempDir(), Port: atoi(t, port)})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("on a port that is taken the error is %v", err)
	}
	binaries.Static = t.TempDir()
	_, err = gitea.Start(t.Context(), gitea.Config{Binaries: binaries, Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "translation is missing") {
		t.Errorf("without its files the error does not quote its log: %v", err)
	}
}

func TestAStoppedServerGoesOnWhereItWas(t *testing.T) {
	s := forge(t)
	alice := member(t, s, "alice")
	stops := map[string]func(){
		"stopped": func() {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"killed": s.Kill,
	}
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			stop()
			if err := s.Call(t.Context(), alice.Token, http.MethodGet, "/user", nil, nil); err == nil {
				t.Error("it still answers")
			}
			if err := s.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			var user struct{ Login string }
			if err := s.Call(t.Context(), alice.Token, http.MethodGet, "/user", nil, &user); err != nil || user.Login != "alice" {
				t.Errorf("it knows %q, %v", user.Login, err)
			}
		})
	}
}

func TestAServerThatDiesIsReportedWithTheEndOfItsLog(t *testing.T) {
	s := forge(t)
	s.Kill()
	<-s.Done()
	if got := s.Crashed().Error(); !strings.Contains(got, "Gitea") || !strings.Contains(got, "killed") {
		t.Errorf("the report is %q", got)
	}
}

func TestNothingIsLeftWhenServerAndRunnerStop(t *testing.T) {
	binaries, err := gitea.FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var log bytes.Buffer
	s, err := gitea.Start(t.Context(), gitea.Config{Binaries: binaries, Dir: filepath.Join(dir, "forge"), Log: &log}) // a stock one, for once
	if err != nil {
		t.Fatal(err)
	}
	runner, err := s.StartRunner(t.Context(), filepath.Join(dir, "runner"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := mentioning(t, dir); got < 2 {
		t.Fatalf("%d processes run from %s, want the server and the runner", got, dir)
	}
	if err := runner.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if got := mentioning(t, dir); got != 0 {
		t.Errorf("%d processes are left", got)
	}
	if strings.Contains(log.String(), "[E]") {
		t.Errorf("the server complains:\n%s", log.String())
	}
}

func TestAWhitelistNameThatGiteaDropsIsAnError(t *testing.T) {
	s := forge(t)
	member(t, s, "rita")
	project(t, s)
	if err := s.SetCollaborator(t.Context(), "acme", "app", "rita", gitea.Read); err != nil {
		t.Fatal(err)
	}
	rule := gitea.BranchRule{Name: "main", EnableApprovalsWhitelist: true, ApprovalsWhitelist: []string{"rita"}}
	err := s.ProtectBranch(t.Context(), "acme", "app", rule)
	if err == nil || !strings.Contains(err.Error(), "rita") {
		t.Errorf("a mere reader of a public repository is taken as an approver: %v", err)
	}
}

// project makes the organisation acme with the public repository app.
func project(t *testing.T, s *gitea.Server) {
	t.Helper()
	if err := s.CreateOrg(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRepo(t.Context(), "acme", "app", true); err != nil {
		t.Fatal(err)
	}
}

// mentioning counts the processes with the folder in their arguments.
func mentioning(t *testing.T, dir string) int {
	t.Helper()
	var all []string
	if runtime.GOOS == "linux" {
		list, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range list {
			args, _ := os.ReadFile(path) // it may have ended meanwhile
			all = append(all, string(args))
		}
	} else {
		out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "args=").Output()
		if err != nil {
			t.Fatal(err)
		}
		all = strings.Split(string(out), "\n")
	}
	found := 0
	for _, args := range all {
		if strings.Contains(args, dir) {
			found++
		}
	}
	return found
}
