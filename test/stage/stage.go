// Package stage sets up what Slipway is shown on: a real forge with its
// registry and CI runner, a real Kubernetes, people with the least rights that
// work, and a small service with its repository, policy and Deployment. The
// demo and the end-to-end tests play on it; it never does Slipway's own work.
package stage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"slipway/test/servers/gitea"
	"slipway/test/servers/kubernetes"
)

// Options say what to set up.
type Options struct {
	// Dir is an empty folder for everything.
	Dir   string
	Level kubernetes.Level
	// BadTags are image tags that crash on fake nodes.
	BadTags []string
	// BuildCache is where the builds of images keep what they compiled; it may
	// outlive the stage. "" is a folder of its own.
	BuildCache string
	// Stock leaves the forge's settings as they come; else they are tuned.
	Stock bool
	// Log hears of each step; nil is nobody.
	Log io.Writer
}

// Stage is everything that runs beside Slipway.
type Stage struct {
	Forge   *gitea.Server
	Runner  *gitea.Runner
	Cluster *kubernetes.Cluster
	// Bot is Slipway's account, Author opens pull requests, Reviewers approve.
	Bot       gitea.Account
	Author    gitea.Account
	Reviewers []gitea.Account
	// Kubeconfig is Slipway's own: a service account with the least rights.
	Kubeconfig string

	options Options
	address string // where Slipway listens, unless a test says otherwise
	secret  string // of the webhooks
	token   string // of the API, an operator's
	reader  string // of the API, a reader's
	kube    clients.Interface
	lent    *Lent // what canaries are lent, nil for nothing yet
}

// Org is the organisation of all projects, and the namespace they run in.
const Org = "acme"

// Environment is the one that projects declare.
const Environment = "production"

// Up starts and sets up everything, in about ten seconds. What it started goes
// with Down, with ctx, or with this process.
func Up(ctx context.Context, o Options) (s *Stage, err error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.BuildCache == "" {
		o.BuildCache = filepath.Join(o.Dir, "build")
	}
	s = &Stage{options: o, secret: random(), token: random(), reader: random()}
	defer func() {
		if err != nil {
			down, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			err = errors.Join(err, s.Down(down))
		}
	}()
	if s.address, err = FreeAddress(ctx); err != nil {
		return s, err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"forge, registry and CI runner", s.startForge},
		{"people and their rights", s.people},
		{"Kubernetes (" + string(o.Level) + ")", s.startCluster},
	} {
		began := time.Now()
		if err = step.do(ctx); err != nil {
			return s, fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(o.Log, "%-40s %5.1f s\n", step.name, time.Since(began).Seconds())
	}
	return s, nil
}

// Down ends everything that Up started.
func (s *Stage) Down(ctx context.Context) error {
	var errs []error
	if s.Cluster != nil {
		errs = append(errs, s.Cluster.Stop(ctx))
	}
	if s.Runner != nil {
		errs = append(errs, s.Runner.Stop(ctx))
	}
	if s.Forge != nil {
		errs = append(errs, s.Forge.Stop(ctx))
	}
	return errors.Join(errs...)
}

// Address is where Slipway listens on this stage.
func (s *Stage) Address() string { return "http://" + s.address }

// Token is the operator's token for Slipway's API.
func (s *Stage) Token() string { return s.token }

// ReaderToken is a reader's token for Slipway's API.
func (s *Stage) ReaderToken() string { return s.reader }

// Secret is the webhooks' secret.
func (s *Stage) Secret() string { return s.secret }

// Simulated says whether the nodes are fake.
func (s *Stage) Simulated() bool { return s.options.Level == kubernetes.Kwok }

func (s *Stage) startForge(ctx context.Context) error {
	binaries, err := gitea.FindBinaries("")
	if err != nil {
		return err
	}
	s.Forge, err = gitea.Start(ctx, gitea.Config{Binaries: binaries, Dir: s.path("gitea"), Tuned: !s.options.Stock})
	if err != nil {
		return err
	}
	s.Runner, err = s.Forge.StartRunner(ctx, s.path("runner"), nil)
	return err
}

// people makes the accounts. Reviewers may read and no more; what makes their
// approval count is their place on each branch's whitelist. The bot has no
// right until it administers a repository.
func (s *Stage) people(ctx context.Context) error {
	if err := s.Forge.CreateOrg(ctx, Org); err != nil {
		return err
	}
	account := func(login string, kind gitea.Kind, scopes ...string) (gitea.Account, error) {
		a, err := s.Forge.CreateUser(ctx, login, kind)
		if err != nil {
			return a, err
		}
		a.Token, err = s.Forge.Token(ctx, a, scopes...)
		return a, err
	}
	var err error
	if s.Bot, err = account("slipway-bot", gitea.Bot, "write:repository", "write:issue", "write:package", "read:user", "read:organization"); err != nil {
		return err
	}
	if s.Author, err = account("alice", gitea.Person, "write:repository", "write:issue", "read:user"); err != nil {
		return err
	}
	for _, login := range []string{"bob", "carol"} {
		r, err := account(login, gitea.Person, "write:repository", "write:issue", "read:user")
		if err != nil {
			return err
		}
		s.Reviewers = append(s.Reviewers, r)
	}
	return s.Forge.CreateTeam(ctx, Org, gitea.Team{
		Name: "publishers", Units: map[string]string{"repo.packages": "write"}, Members: []string{s.Bot.Login},
	})
}

func (s *Stage) startCluster(ctx context.Context) error {
	binaries, err := kubernetes.Find("", s.options.Level)
	if err != nil {
		return err
	}
	s.Cluster, err = kubernetes.Start(ctx, kubernetes.Config{
		Level: s.options.Level, Dir: s.path("kubernetes"), Binaries: binaries,
		Registries: []string{s.Forge.Registry()}, BadTags: s.options.BadTags,
	})
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Cluster.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	if s.kube, err = clients.NewForConfig(config); err != nil {
		return err
	}
	return s.namespaces(ctx)
}

func (s *Stage) path(name string) string { return filepath.Join(s.options.Dir, name) }

// FreeAddress finds a port of the loopback that nobody listens on, below those
// that a system takes for outgoing connections: what is started again there
// finds it free again.
func FreeAddress(ctx context.Context) (string, error) {
	const first, count, tries = 20000, 10000, 100
	var listen net.ListenConfig
	var last error
	for range tries {
		n, err := rand.Int(rand.Reader, big.NewInt(count))
		if err != nil {
			return "", err
		}
		l, err := listen.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", first+n.Int64()))
		if err != nil {
			last = err
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("find a free port: %w", last)
}

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func write(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}
