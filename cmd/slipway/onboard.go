package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/config"
	"slipway/internal/change"
	"slipway/internal/forge/gitea"
	"slipway/internal/kube"
	"slipway/internal/onboard"
	"slipway/internal/ref"
)

// onboarding is what the command was told.
type onboarding struct {
	dryRun     bool
	yes        bool
	tokenEnv   string
	kubeconfig string
	account    string
	policy     string
	renew      bool
	loosen     bool
	config     string
}

func newOnboard(from *source) *cobra.Command {
	var o onboarding
	cmd := &cobra.Command{
		Use:   "onboard OWNER/REPO",
		Short: "Set up protection, webhook, teams and rights of a repository",
		Long: "Set up what a repository needs around it: the forge's protection of the branch and of version tags, the webhook, the\n" +
			"reviewers' team, the bot's rights, labels, and its namespace with a Role. It shows what is, what should be and what it would\n" +
			"do, and does it with --yes. It works from this machine with the configuration, and needs no server.",
		Example: "  slipway onboard acme/app --config slipway.yaml\n" +
			"  OWNER_TOKEN=… slipway onboard acme/app --config slipway.yaml --forge-token-env OWNER_TOKEN --kubeconfig ~/.kube/config --yes",
		Args: exactly(1, "one repository, OWNER/REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.dryRun && o.yes {
				return usageError{errors.New("give either --dry-run or --yes: is it to be done or not?")}
			}
			if from.config == "" || from.flag.Changed {
				return usageError{errors.New("slipway onboard works from this machine: it wants --config slipway.yaml, and no --server")}
			}
			id, err := ref.ParseRepo(args[0])
			if err != nil {
				return usageError{err}
			}
			conf, err := faultless(from.config, config.LoadServer)
			if err != nil {
				return err
			}
			repo, ok := conf.Repository(id)
			if !ok {
				return usageError{fmt.Errorf("%s is not among the repositories in %s: add it there first", id, from.config)}
			}
			o.config = from.config
			return o.run(cmd.Context(), conf, repo, outlet{cmd.OutOrStdout(), from.json})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and write nothing (as without --yes)")
	f.BoolVar(&o.yes, "yes", false, "do it")
	f.StringVar(&o.tokenEnv, "forge-token-env", "", "the environment variable with the token to use for this run, of somebody with more rights; it is kept nowhere")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file of somebody who administers the cluster, for this run")
	f.StringVar(&o.account, "service-account", "", "NAMESPACE/NAME of Slipway's account in the cluster, where it cannot be asked from here")
	f.StringVar(&o.policy, "policy", "", "policy file to go by while there is none on the branch, which is not protected until there is")
	f.BoolVar(&o.loosen, "loosen", false, "take away what the forge asks for beyond the policy, such as a third approval")
	f.BoolVar(&o.renew, "renew-webhook", false, "make the webhook anew with the secret of the configuration: a forge does not tell which it has")
	return cmd
}

// outlet is where the command says what it does.
type outlet struct {
	io.Writer
	json bool
}

// report is what the command found and did, as JSON.
type report struct {
	Repository string            `json:"repository"`
	Actor      string            `json:"actor"`
	Steps      []onboard.Step    `json:"steps"`
	Applied    []onboard.Outcome `json:"applied,omitempty"`
	Left       []onboard.Step    `json:"left"`
}

func (o onboarding) run(ctx context.Context, conf config.Server, repo config.Repository, out outlet) error {
	s, err := o.survey(conf, repo)
	if err != nil {
		return err
	}
	local, err := o.localPolicy(conf, repo)
	if err != nil {
		return err
	}
	plan, actor, err := s.plan(ctx, repo, local, wishes{renew: o.renew, loosen: o.loosen, config: o.config})
	if err != nil {
		return err
	}
	r := report{Repository: repo.Repo.String(), Actor: actor, Steps: plan.Steps, Left: plan.Steps}
	if !out.json {
		show(out, plan.Repo.String()+", as "+actor, plan.Steps)
	}
	if o.yes && len(plan.Steps) > 0 {
		r.Applied = onboard.Apply(ctx, plan, s.forges[repo.Forge].Guard, s.grounds, func(done onboard.Outcome) {
			if !out.json {
				tellStep(out, actor, done)
			}
		})
		after, _, err := s.plan(ctx, repo, local, wishes{loosen: o.loosen, config: o.config})
		if err != nil {
			return err
		}
		r.Left = after.Steps
	}
	return o.conclude(out, r)
}

// conclude says what is left, and refuses if anything is.
func (o onboarding) conclude(out outlet, r report) error {
	switch {
	case out.json:
		if r.Steps == nil {
			r.Steps = []onboard.Step{}
		}
		if r.Left == nil {
			r.Left = []onboard.Step{}
		}
		if err := printJSON(out, r); err != nil {
			return err
		}
	case len(r.Left) == 0 && len(r.Steps) == 0:
		fmt.Fprintf(out, "✔ %s is as it should be; there is nothing to do.\n", r.Repository)
	case len(r.Left) == 0:
		fmt.Fprintf(out, "✔ %s is as it should be now.\n", r.Repository)
	case o.yes:
		fmt.Fprintf(out, "\n%d left to be done:\n", len(r.Left))
		for _, s := range r.Left {
			fmt.Fprintf(out, "✖ %s\n  mend: %s\n", board.Text(s.Told()), board.Text(s.Mend))
		}
	default:
		fmt.Fprintln(out, "\nNothing was written. Give --yes to do what can be done from here.")
	}
	if len(r.Left) > 0 {
		return silentError{exitRefused}
	}
	return nil
}

// show prints what is, what should be and what would be done.
func show(out io.Writer, title string, steps []onboard.Step) {
	if len(steps) == 0 {
		return
	}
	fmt.Fprintf(out, "%s: %d to be done\n", board.Text(title), len(steps))
	for _, s := range steps {
		mark := "+"
		if s.Blocked != "" {
			mark = "!"
		}
		fmt.Fprintf(out, "%s %s  (%s; takes %s)\n", mark, board.Text(s.Key), board.Text(s.Where), s.Needs.Who())
		for _, l := range s.Lines {
			fmt.Fprintf(out, "    %s\n", board.Text(l.String()))
		}
		if s.Blocked != "" {
			fmt.Fprintf(out, "    not from here: %s\n    mend: %s\n", board.Text(s.Blocked), board.Text(s.Mend))
		}
	}
}

// tellStep prints who did what when: the line for whoever keeps such records.
func tellStep(out io.Writer, actor string, o onboard.Outcome) {
	var what []string
	for _, l := range o.Step.Lines {
		what = append(what, l.String())
	}
	at := time.Now().UTC().Format(time.RFC3339)
	if o.Done {
		fmt.Fprintf(out, "✔ %s %s set %s: %s\n", at, board.Text(actor), board.Text(o.Step.Key), board.Text(strings.Join(what, "; ")))
		return
	}
	fmt.Fprintf(out, "✖ %s %s could not set %s: %s\n", at, board.Text(actor), board.Text(o.Step.Key), board.Text(o.Fault))
}

// localPolicy reads the policy file that stands in for the branch's.
func (o onboarding) localPolicy(conf config.Server, repo config.Repository) (*change.Plan, error) {
	if o.policy == "" {
		return nil, nil
	}
	data, err := os.ReadFile(o.policy)
	if err != nil {
		return nil, usageError{err}
	}
	plan := policy(conf)(repo.Repo, o.policy, data, true)
	if len(plan.Faults) > 0 {
		return nil, usageError{errors.New(strings.Join(plan.Faults, "\n"))}
	}
	return &plan, nil
}

// survey connects as whoever runs the command.
func (o onboarding) survey(conf config.Server, repo config.Repository) (survey, error) {
	s := survey{conf: conf, policy: policy(conf), forges: map[string]surveyed{}, grounds: map[string]onboard.Ground{}}
	forge, _ := conf.Forge(repo.Forge)
	var err error
	if s.forges[forge.Name], err = o.connect(forge); err != nil {
		return s, err
	}
	s.pushes = pusher(conf, forge)
	own := map[string]*kube.Cluster{}
	for _, c := range conf.Clusters {
		if _, needed := repo.Namespaces[c.Name]; !needed {
			continue
		}
		cluster, err := kube.New(kube.Config{Name: c.Name, Kubeconfig: c.Kubeconfig, InCluster: c.InCluster})
		if err == nil {
			own[c.Name], s.grounds[c.Name] = cluster, kube.Ground{Cluster: cluster}
		}
		if o.kubeconfig != "" {
			cluster, err = kube.New(kube.Config{Name: c.Name, Kubeconfig: o.kubeconfig})
			s.grounds[c.Name] = kube.Ground{Cluster: cluster}
		}
		if err != nil {
			return s, usageError{fmt.Errorf("cluster %s cannot be reached from here: %w; give --kubeconfig FILE", c.Name, err)}
		}
	}
	s.subjects = func(ctx context.Context, name string) string { return o.subject(ctx, own[name]) }
	return s, nil
}

// subject is Slipway's account: the one that was named, or that the cluster
// knows the server's own credentials by.
func (o onboarding) subject(ctx context.Context, own *kube.Cluster) string {
	if namespace, name, found := strings.Cut(o.account, "/"); found {
		return "system:serviceaccount:" + namespace + ":" + name
	}
	if own == nil {
		return ""
	}
	who, err := own.Whoami(ctx)
	if err != nil {
		return "" // said as a step
	}
	return who
}

// connect speaks to the forge as the server does, or with the token for this
// run, which goes nowhere else.
func (o onboarding) connect(f config.Forge) (surveyed, error) {
	if o.tokenEnv != "" {
		f.Token, f.App = config.NewSecret(os.Getenv(o.tokenEnv)), nil
		if f.Token.IsZero() {
			return surveyed{}, usageError{fmt.Errorf("--forge-token-env: there is nothing in %s", o.tokenEnv)}
		}
	}
	made, err := newForge(f, func(string, string, int, time.Duration) {}, func(error) {})
	if err != nil {
		return surveyed{}, fmt.Errorf("forge %s: %w", f.Name, err)
	}
	return surveyed{made.Forge, made.guard}, nil
}

// pusher asks with the registry's own credential whether it may push, where
// that is another account than the one that looks.
func pusher(conf config.Server, f config.Forge) func(context.Context, config.Repository) onboard.Found[bool] {
	return func(ctx context.Context, r config.Repository) onboard.Found[bool] {
		registry, _ := conf.Registry(r.Registry)
		if f.Kind != "gitea" || registry.Username == "" {
			return onboard.Unread[bool]("there is no account to ask with")
		}
		client, err := gitea.New(gitea.Config{URL: f.URL, Login: registry.Username, Token: func() (string, error) { return registry.Password.Reveal(), nil }})
		if err != nil {
			return onboard.Unread[bool](err.Error())
		}
		return gitea.Guard{Client: client}.MayPush(ctx, r.Repo)
	}
}
