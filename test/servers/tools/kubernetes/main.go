// Command kube is every Kubernetes program that the test servers run, in one
// binary: the name it is called by, or else its first argument, says which.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	_ "time/tzdata" // CronJob time zones on machines without zoneinfo

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	kwoksignals "sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	applets := applets()
	name, args := filepath.Base(os.Args[0]), os.Args
	if _, known := applets[name]; !known && len(os.Args) > 1 {
		name, args = os.Args[1], os.Args[1:]
	}
	run, known := applets[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: no such program %q: want one of %s\n", name, strings.Join(names(applets), ", "))
		os.Exit(2)
	}
	os.Args = args
	os.Exit(run())
}

func applets() map[string]func() int {
	all := map[string]func() int{
		"etcd":                    runEtcd,
		"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
		"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
		"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
		"kubectl":                 runKubectl,
		"kwok":                    runKwok,
	}
	addKubelet(all)
	return all
}

func names(applets map[string]func() int) []string {
	var sorted []string
	for name := range applets {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return sorted
}

func runEtcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // prints it as kubectl does, and exits
	}
	return 0
}

func runKwok() int {
	// kwok reads its log and config flags before cobra sees the command line,
	// so this set has to pass over every flag that is not its own.
	early := pflag.NewFlagSet("early", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	early.Usage = func() {}

	ctx, log := kwoklog.InitFlags(kwoksignals.SetupSignalContext(), early)
	ctx, err := kwokconfig.InitFlags(ctx, early)
	if err != nil {
		log.Error("kwok cannot read its configuration", "err", err)
		return 1
	}
	command := kwok.NewCommand(ctx)
	// The other programs put a --version of their own kind on the shared flag
	// set; cobra would refuse to define a second.
	command.Version = ""
	command.PersistentFlags().AddFlagSet(early)
	if err := command.ExecuteContext(ctx); err != nil {
		log.Error("kwok ended", "err", err)
		return 1
	}
	return 0
}
