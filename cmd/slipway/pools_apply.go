package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cmd/slipway/internal/board"
	"slipway/config"
	"slipway/dispatcher"
	"slipway/internal/forge/gitea"
	"slipway/internal/kube"
	"slipway/internal/onboard"
	"slipway/internal/server"
	"slipway/pools"
)

// applying is what the command was told.
type applying struct {
	from       *source
	dryRun     bool
	yes        bool
	rotate     []string
	remove     []string
	grace      time.Duration
	tokenEnv   string
	secrets    string
	kubeconfig string
	manifests  bool
}

// everybody is what --rotate says without a coordinate.
const everybody = "all"

func newPoolsApply(from *source) *cobra.Command {
	o := &applying{from: from}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make each coordinate's account, secrets and pod",
		Long: "Make what each coordinate of the pool config needs: an account of its name on the forge, in the team of its role; a\n" +
			"credential for this server and a token for the forge; and, with pools.kubernetes, its pod with all around it.\n" +
			"It shows what is, what should be and what it would do, and does it with --yes. Nothing of it follows from a model:\n" +
			"a swap needs none of this. It works from this machine with the configuration, and asks the server (--server or\n" +
			"SLIPWAY_SERVER, an operator's token in SLIPWAY_TOKEN) to know the credentials.",
		Example: "  slipway pools apply --config slipway.yaml --secrets-dir /etc/slipway/builders\n" +
			"  ADMIN_TOKEN=… slipway pools apply --config slipway.yaml --forge-token-env ADMIN_TOKEN --kubeconfig ~/.kube/config --yes\n" +
			"  slipway pools apply --config slipway.yaml --rotate builder-lite-0 --yes",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.dryRun && o.yes {
				return usageError{errors.New("give either --dry-run or --yes: is it to be done or not?")}
			}
			return o.run(cmd.Context(), outlet{cmd.OutOrStdout(), from.json})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and write nothing (as without --yes)")
	f.BoolVar(&o.yes, "yes", false, "do it")
	f.StringSliceVar(&o.rotate, "rotate", nil, "give these coordinates new secrets, as builder-lite-0,builder-lite-1; `all` for everybody")
	f.StringSliceVar(&o.remove, "remove", nil, "take everything from these coordinates, which the pool config no longer has and which have no work")
	f.DurationVar(&o.grace, "grace", 10*time.Minute, "how long secrets that were replaced stay good; a run after that withdraws them")
	f.StringVar(&o.tokenEnv, "forge-token-env", "", "the environment variable with the token to use for this run, of somebody who administers the forge; it is kept nowhere")
	f.StringVar(&o.secrets, "secrets-dir", "", "folder for the secrets, a folder each, for coordinates that run on machines")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file of somebody who may set up the pools' namespace, for this run")
	f.BoolVar(&o.manifests, "manifests", false, "only print what the cluster gets, as JSON for kubectl; no secret is in it")
	return cmd
}

// crewReport is what the command found and did, as JSON.
type crewReport struct {
	Actor   string            `json:"actor"`
	Steps   []onboard.Step    `json:"steps"`
	Applied []onboard.Outcome `json:"applied,omitempty"`
	Left    []onboard.Step    `json:"left"`
	Notes   []string          `json:"notes"`
}

func (o *applying) run(ctx context.Context, out outlet) error {
	if o.from.config == "" {
		return usageError{errors.New("slipway pools apply works from this machine: it wants --config slipway.yaml")}
	}
	conf, err := faultless(o.from.config, config.LoadServer)
	if err != nil {
		return err
	}
	want, err := o.want(conf)
	if err != nil {
		return err
	}
	if o.manifests {
		return o.print(conf, want, out)
	}
	hands, err := o.hands(conf)
	if err != nil {
		return err
	}
	plan, actor, err := crewPlan(ctx, hands, want)
	if err != nil {
		return err
	}
	r := crewReport{Actor: actor, Steps: plan.Steps, Left: plan.Steps, Notes: plan.Notes}
	if !out.json {
		show(out, counting(len(want.Coordinates), "coordinate")+", as "+actor, plan.Steps)
	}
	if o.yes && len(plan.Steps) > 0 {
		r.Applied = hands.Apply(ctx, want, plan, func(done onboard.Outcome) {
			if !out.json {
				tellStep(out, actor, done)
			}
		})
		want.Rotate, want.Now = nil, time.Now()
		after, _, err := crewPlan(ctx, hands, want)
		if err != nil {
			return err
		}
		r.Left, r.Notes = after.Steps, after.Notes
	}
	return o.conclude(out, want, r)
}

// crewPlan looks, and says what is to be done and who looked.
func crewPlan(ctx context.Context, hands onboard.Hands, want onboard.Crew) (onboard.CrewPlan, string, error) {
	is, err := hands.Look(ctx, want)
	if err != nil {
		return onboard.CrewPlan{}, "", err
	}
	return onboard.MakeCrew(want, is), is.Roster.Self, nil
}

// conclude says what is left, and refuses if anything is.
func (o *applying) conclude(out outlet, want onboard.Crew, r crewReport) error {
	if out.json {
		r.Steps, r.Left, r.Notes = append([]onboard.Step{}, r.Steps...), append([]onboard.Step{}, r.Left...), append([]string{}, r.Notes...)
		if err := printJSON(out, r); err != nil {
			return err
		}
	} else {
		for _, n := range r.Notes {
			fmt.Fprintf(out, "· %s\n", board.Text(n))
		}
		switch names := board.Text(strings.Join(addressNames(want.Coordinates), ", ")); {
		case len(r.Left) == 0 && len(r.Steps) == 0:
			fmt.Fprintf(out, "✔ %s: all is as it should be; there is nothing to do.\n", names)
		case len(r.Left) == 0:
			fmt.Fprintf(out, "✔ %s: all is as it should be now.\n", names)
		case o.yes:
			fmt.Fprintf(out, "\n%d left to be done:\n", len(r.Left))
			for _, s := range r.Left {
				fmt.Fprintf(out, "✖ %s\n  mend: %s\n", board.Text(s.Told()), board.Text(s.Mend))
			}
		default:
			fmt.Fprintln(out, "\nNothing was written. Give --yes to do what can be done from here.")
		}
	}
	if len(r.Left) > 0 {
		return silentError{exitRefused}
	}
	return nil
}

// want is how the identities should be: by the pool config's coordinates, and
// by nothing that they run.
func (o *applying) want(conf config.Server) (onboard.Crew, error) {
	fail := func(format string, a ...any) (onboard.Crew, error) {
		return onboard.Crew{}, usageError{fmt.Errorf(format, a...)}
	}
	switch {
	case conf.Pools.File == "":
		return fail("%s names no pool config: set pools.file", o.from.config)
	case conf.Pools.Forge == "":
		return fail("%s does not say where the coordinates have accounts: set pools.forge, and with pools.teams their teams", o.from.config)
	}
	set, err := faultless(conf.Pools.File, config.LoadPools)
	if err != nil {
		return onboard.Crew{}, err
	}
	want := onboard.Crew{Coordinates: set.Addresses(), Grace: o.grace, Config: o.from.config, Now: time.Now()}
	if want.Rotate, err = o.chosen(o.rotate, set); err != nil {
		return fail("--rotate: %w", err)
	}
	for _, name := range o.remove {
		a, err := pools.ReadAddress(name)
		if err != nil {
			return fail("--remove: %w", err)
		}
		want.Remove = append(want.Remove, a)
	}
	if want.Teams, err = crewTeams(conf, set); err != nil {
		return fail("%s: %w", o.from.config, err)
	}
	return want, nil
}

// chosen are coordinates of the pool config by their names.
func (o *applying) chosen(names []string, set pools.Set) (all []pools.Address, err error) {
	for _, name := range names {
		if name == everybody {
			return set.Addresses(), nil
		}
		a, err := pools.ParseAddress(name, set.Vocabulary)
		if err != nil {
			return nil, err
		}
		if _, there := set.Replicas[a]; !there {
			return nil, fmt.Errorf("%s is no coordinate of the pool config", a)
		}
		all = append(all, a)
	}
	return all, nil
}

// crewTeams are the team of each role in each organisation that owns a
// repository of the forge.
func crewTeams(conf config.Server, set pools.Set) ([]onboard.CrewTeam, error) {
	members := map[string][]string{}
	for _, a := range set.Addresses() {
		members[a.Role] = append(members[a.Role], a.String())
	}
	teams := map[string]*onboard.CrewTeam{}
	for _, role := range slices.Sorted(maps.Keys(members)) {
		name, named := conf.Pools.Teams[role]
		if !named {
			return nil, fmt.Errorf("pools.teams does not say which team coordinates of the role %s are in", role)
		}
		for _, r := range conf.Repositories {
			if r.Forge != conf.Pools.Forge {
				continue
			}
			t := onboard.CrewTeam{Owner: r.Repo.Owner, Name: name, Writes: slices.Contains(conf.Pools.Writers, role)}
			if teams[t.Key()+" "+role] == nil {
				t.Members = members[role]
				teams[t.Key()+" "+role] = &t
			}
			teams[t.Key()+" "+role].Repositories = append(teams[t.Key()+" "+role].Repositories, r.Repo)
		}
	}
	var all []onboard.CrewTeam
	for _, key := range slices.Sorted(maps.Keys(teams)) {
		if n := len(all); n > 0 && all[n-1].Key() == teams[key].Key() {
			return nil, fmt.Errorf("pools.teams has one team %s for two roles: what one may is not what the other may", teams[key].Name)
		}
		all = append(all, *teams[key])
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no repository of the forge %s for the coordinates to work in", conf.Pools.Forge)
	}
	return all, nil
}

// hands connect as whoever runs the command.
func (o *applying) hands(conf config.Server) (onboard.Hands, error) {
	fail := func(err error) (onboard.Hands, error) { return onboard.Hands{}, usageError{err} }
	forge, _ := conf.Forge(conf.Pools.Forge)
	if forge.Kind != "gitea" {
		return fail(fmt.Errorf("the forge %s is a %s: coordinates have accounts on a Gitea only", forge.Name, forge.Kind))
	}
	token := forge.Token
	if o.tokenEnv != "" {
		if token = config.NewSecret(os.Getenv(o.tokenEnv)); token.IsZero() {
			return fail(fmt.Errorf("--forge-token-env: there is nothing in %s", o.tokenEnv))
		}
	}
	client, err := gitea.New(gitea.Config{URL: forge.URL, Login: forge.Login, Token: func() (string, error) { return token.Reveal(), nil }})
	if err != nil {
		return fail(err)
	}
	if o.from.server == "" {
		return fail(errors.New("the server has to know the credentials: give --server ADDRESS or set SLIPWAY_SERVER, and an operator's token in SLIPWAY_TOKEN"))
	}
	api, err := server.NewClient(o.from.server, os.Getenv("SLIPWAY_TOKEN"))
	if err != nil {
		return fail(err)
	}
	hands := onboard.Hands{Forge: gitea.Recruiter{Client: client}, Server: purser{api}}
	if o.secrets != "" {
		hands.Keeps = append(hands.Keeps, folder{o.secrets})
	}
	if k := conf.Pools.Kubernetes; k != nil {
		cluster, err := o.cluster(conf, *k)
		if err != nil {
			return fail(err)
		}
		hands.Keeps = append(hands.Keeps, kube.CrewShelf{Cluster: cluster, Namespace: k.Namespace})
		hands.Yards = append(hands.Yards, kube.CrewYard{Cluster: cluster, Site: crewSite(conf, *k, forge)})
	}
	if len(hands.Keeps) == 0 {
		return fail(errors.New("where are the secrets to be kept? give --secrets-dir DIR, or set pools.kubernetes"))
	}
	return hands, nil
}

// cluster is where the pools run, as whoever runs the command.
func (o *applying) cluster(conf config.Server, k config.PoolCluster) (*kube.Cluster, error) {
	i := slices.IndexFunc(conf.Clusters, func(c config.Cluster) bool { return c.Name == k.Cluster })
	if i < 0 {
		return nil, fmt.Errorf("there is no cluster %s", k.Cluster)
	}
	as := kube.Config{Name: k.Cluster, Kubeconfig: conf.Clusters[i].Kubeconfig, InCluster: conf.Clusters[i].InCluster}
	if o.kubeconfig != "" {
		as.Kubeconfig, as.InCluster = o.kubeconfig, false
	}
	cluster, err := kube.New(as)
	if err != nil {
		return nil, fmt.Errorf("%w; give --kubeconfig FILE", err)
	}
	return cluster, nil
}

// print says what the cluster gets.
func (o *applying) print(conf config.Server, want onboard.Crew, out outlet) error {
	if conf.Pools.Kubernetes == nil {
		return usageError{fmt.Errorf("%s has no pools.kubernetes, so that no cluster gets anything", o.from.config)}
	}
	forge, _ := conf.Forge(conf.Pools.Forge)
	text, err := crewSite(conf, *conf.Pools.Kubernetes, forge).Manifests(want.Coordinates)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// crewSite is how the coordinates' pods are, by what slipway.yaml says alone.
func crewSite(conf config.Server, k config.PoolCluster, forge config.Forge) kube.CrewSite {
	site := kube.CrewSite{
		Namespace: k.Namespace, Image: k.Image, Command: k.Command, Environment: k.Environment, Credentials: map[string]kube.KeyOf{},
		Server: cmp.Or(k.Server, conf.ExternalURL), Forge: cmp.Or(k.Forge, forge.URL), CPU: k.CPU, Memory: k.Memory,
	}
	for name, from := range k.Credentials {
		secret, key, _ := strings.Cut(from, "/")
		site.Credentials[name] = kube.KeyOf{Secret: secret, Key: key}
	}
	for _, e := range k.Egress {
		site.Egress = append(site.Egress, kube.Egress{CIDR: e.CIDR, Namespace: e.Namespace, Ports: e.Ports})
	}
	return site
}

// purser is the server that knows the workers' credentials.
type purser struct{ api *server.Client }

// Credentials are those that it has recorded.
func (p purser) Credentials(ctx context.Context) ([]onboard.WorkerCredential, error) {
	list, err := p.api.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]onboard.WorkerCredential, 0, len(list))
	for _, c := range list {
		all = append(all, onboard.WorkerCredential{Hash: c.Hash, Address: c.Address, Created: c.Created, Good: c.Ended(time.Now()) == ""})
	}
	return all, nil
}

// Posts are the coordinates that it has in force.
func (p purser) Posts(ctx context.Context) (map[pools.Address]onboard.Post, error) {
	f, _, err := p.api.InForce(ctx)
	if err != nil {
		return nil, err
	}
	all := map[pools.Address]onboard.Post{}
	for _, s := range f.Seats {
		all[s.Address] = onboard.Post{InForce: !s.Gone, Cordoned: s.Cordoned, Live: s.Live != 0}
	}
	return all, nil
}

// Mint makes a secret and has its hash recorded, which is all that the server
// is told.
func (p purser) Mint(ctx context.Context, a pools.Address) (onboard.Secret, error) {
	secret, c, err := dispatcher.NewCredential(a, time.Now(), time.Time{})
	if err != nil {
		return nil, err
	}
	if err := p.api.Enrol(ctx, c); err != nil {
		return nil, err
	}
	return config.NewSecret(secret), nil
}

// Revoke takes a credential back.
func (p purser) Revoke(ctx context.Context, hash string) error { return p.api.Revoke(ctx, hash) }

// Hash is under which a secret is recorded.
func (p purser) Hash(secret string) string {
	hash, _ := dispatcher.HashCredential(secret)
	return hash
}

func addressNames(list []pools.Address) []string {
	names := make([]string, 0, len(list))
	for _, a := range list {
		names = append(names, a.String())
	}
	return names
}
