package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/change"
	"slipway/internal/ref"
	"slipway/test/stage"
)

// What is true of the world, asked of the servers themselves and not of Slipway.

// branch is the line of the base branch, newest first, as the forge has it.
func (p *place) branch() []*sdk.Commit {
	p.Helper()
	var all []*sdk.Commit
	client := p.sdk(p.stage.Forge.Admin())
	for page := 1; ; page++ {
		commits, _, err := client.ListRepoCommits(stage.Org, p.project.Name, sdk.ListCommitOptions{
			SHA: "main", ListOptions: sdk.ListOptions{Page: page, PageSize: 50}})
		if err != nil {
			p.Fatal(err)
		}
		all = append(all, commits...)
		if len(commits) < 50 {
			return all
		}
	}
}

// mergesOf are the commits of the branch that say they are a change's merge.
func (p *place) mergesOf(id ref.PullID) []*sdk.Commit {
	p.Helper()
	var out []*sdk.Commit
	for _, c := range p.branch() {
		if slices.Contains(strings.Split(c.RepoCommit.Message, "\n"), "Slipway-Change: "+id.String()) {
			out = append(out, c)
		}
	}
	return out
}

func (p *place) tags() []*sdk.Tag {
	p.Helper()
	tags, _, err := p.sdk(p.stage.Forge.Admin()).ListRepoTags(stage.Org, p.project.Name, sdk.ListRepoTagsOptions{ListOptions: sdk.ListOptions{PageSize: 50}})
	if err != nil {
		p.Fatal(err)
	}
	return tags
}

// tagsOn are the tags that name a commit.
func (p *place) tagsOn(sha ref.SHA) []string {
	p.Helper()
	var out []string
	for _, t := range p.tags() {
		if t.Commit.SHA == string(sha) {
			out = append(out, t.Name)
		}
	}
	return out
}

// annotated says whether a tag is an object of its own.
func (p *place) annotated(tag ref.Tag) bool {
	p.Helper()
	var refs []struct {
		Ref    string `json:"ref"`
		Object struct {
			Type string `json:"type"`
		} `json:"object"`
	}
	p.ask("/git/refs/tags/"+string(tag), &refs)
	for _, r := range refs { // the forge answers by prefix
		if r.Ref == "refs/tags/"+string(tag) {
			return r.Object.Type == "tag"
		}
	}
	return false
}

// pagesOf are the release pages of a tag.
func (p *place) pagesOf(tag ref.Tag) []*sdk.Release {
	p.Helper()
	all, _, err := p.sdk(p.stage.Forge.Admin()).ListReleases(stage.Org, p.project.Name, sdk.ListReleasesOptions{ListOptions: sdk.ListOptions{PageSize: 50}})
	if err != nil {
		p.Fatal(err)
	}
	var out []*sdk.Release
	for _, r := range all {
		if r.TagName == string(tag) && !r.IsDraft {
			out = append(out, r)
		}
	}
	return out
}

// gateStatus is Slipway's newest commit status on a head: state and text.
func (p *place) gateStatus(head ref.SHA) (state, text string) {
	p.Helper()
	statuses, _, err := p.sdk(p.stage.Forge.Admin()).ListStatuses(stage.Org, p.project.Name, string(head), sdk.ListStatusesOption{ListOptions: sdk.ListOptions{PageSize: 50}})
	if err != nil {
		p.Fatal(err)
	}
	newest := int64(0)
	for _, s := range statuses {
		if s.Context == "slipway/gate" && s.Creator != nil && s.Creator.UserName == p.stage.Bot.Login && s.ID > newest {
			newest, state, text = s.ID, string(s.State), s.Description
		}
	}
	return state, text
}

// pull is a pull request as the forge has it.
func (p *place) pull(id ref.PullID) *sdk.PullRequest {
	p.Helper()
	pull, _, err := p.sdk(p.stage.Forge.Admin()).GetPullRequest(stage.Org, p.project.Name, id.Number)
	if err != nil {
		p.Fatal(err)
	}
	return pull
}

// head is the head of a pull request as the forge has it.
func (p *place) head(id ref.PullID) ref.SHA {
	p.Helper()
	return ref.SHA(p.pull(id).Head.Sha)
}

// ask reads from the forge's API, of the project's repository.
func (p *place) ask(path string, into any) {
	p.Helper()
	p.tell(http.MethodGet, path, nil, into)
}

// tell speaks to the forge's API as its administrator.
func (p *place) tell(method, path string, in, into any) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), callLimit)
	defer cancel()
	path = "/repos/" + p.project.ID().String() + path
	if err := p.stage.Forge.Call(ctx, p.stage.Forge.Admin().Token, method, path, in, into); err != nil {
		p.Fatal(err)
	}
}

// registered is what the registry has under a tag.
func (p *place) registered(tag ref.Tag) (digest string, labels map[string]string) {
	p.Helper()
	reference, err := name.NewTag(p.project.ImageRepository()+":"+string(tag), name.Insecure)
	if err != nil {
		p.Fatal(err)
	}
	image, err := remote.Image(reference, remote.WithContext(p.Context()), p.registryAuth())
	if err != nil {
		p.Fatal(err)
	}
	var hash v1.Hash
	if hash, err = image.Digest(); err != nil {
		p.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		p.Fatal(err)
	}
	return hash.String(), config.Config.Labels
}

// registeredTags are all the tags of the project's image.
func (p *place) registeredTags() []string {
	p.Helper()
	repository, err := name.NewRepository(p.project.ImageRepository(), name.Insecure)
	if err != nil {
		p.Fatal(err)
	}
	tags, err := remote.List(repository, remote.WithContext(p.Context()), p.registryAuth())
	if err != nil {
		p.Fatal(err)
	}
	return tags
}

func (p *place) registryAuth() remote.Option {
	bot := p.stage.Bot
	return remote.WithAuth(&authn.Basic{Username: bot.Login, Password: bot.Token})
}

func (p *place) deployment() *appsv1.Deployment {
	p.Helper()
	cluster, err := shared.cluster()
	if err != nil {
		p.Fatal(err)
	}
	d, err := cluster.AppsV1().Deployments(stage.Org).Get(p.Context(), p.project.Name, metav1.GetOptions{})
	if err != nil {
		p.Fatal(err)
	}
	return d
}

// rollouts is how many templates the Deployment has had.
func (p *place) rollouts() int {
	p.Helper()
	text, err := p.project.Revisions(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		p.Fatalf("the Deployment's revision is %q", text)
	}
	return n
}

// pins are the images that Slipway set and the API server took, in order.
func (p *place) pins() []string {
	p.Helper()
	var out []string
	for _, c := range p.cluster.noted(func(c call) bool { return isPin(c.Method, c.Path) && c.Status/100 == 2 }) {
		var d appsv1.Deployment
		if err := json.Unmarshal(c.Body, &d); err != nil {
			p.Fatalf("a patch that is no Deployment: %v %s", err, c.Body)
		}
		if len(d.Spec.Template.Spec.Containers) != 1 {
			continue // the take-over moves the field's owner, not its image
		}
		image := d.Spec.Template.Spec.Containers[0].Image
		if len(out) == 0 || out[len(out)-1] != image {
			out = append(out, image)
		}
	}
	return out
}

func isPin(method, path string) bool {
	return method == http.MethodPatch && strings.Contains(path, "/deployments/")
}

func isMerge(method, path string) bool {
	return method == http.MethodPost && strings.Contains(path, "/pulls/") && strings.HasSuffix(path, "/merge")
}

func isTag(method, path string) bool {
	return method == http.MethodPost && strings.HasSuffix(path, "/tags")
}

// pinOf is how a Deployment must name a change's image.
func (p *place) pinOf(c change.Change) string {
	p.Helper()
	digest, _ := p.registered(c.Tag)
	return fmt.Sprintf("%s/%s/%s:%s@%s", p.registry.host(), stage.Org, p.project.Name, c.Tag, digest)
}

// shippedOnce fails unless a change that ended left exactly one of everything,
// and all of it along one chain of identities.
func (p *place) shippedOnce(c change.Change) {
	p.Helper()
	merges := p.mergesOf(c.ID)
	if len(merges) != 1 || merges[0].SHA != string(c.MergeSHA) {
		p.Errorf("%s has %d merge commits, want the one %s", c.ID, len(merges), c.MergeSHA)
	}
	if pull := p.pull(c.ID); !pull.HasMerged || pull.MergedCommitID == nil || *pull.MergedCommitID != string(c.MergeSHA) {
		p.Errorf("the forge does not say that %s was merged as %s", c.ID, c.MergeSHA)
	}
	if tags := p.tagsOn(c.MergeSHA); !slices.Equal(tags, []string{string(c.Tag)}) {
		p.Errorf("tags on %s: %q, want %q alone", c.MergeSHA, tags, c.Tag)
	}
	if !p.annotated(c.Tag) {
		p.Errorf("tag %s is not annotated", c.Tag)
	}
	if pages := p.pagesOf(c.Tag); len(pages) != 1 {
		p.Errorf("%s has %d release pages", c.Tag, len(pages))
	}
	digest, labels := p.registered(c.Tag)
	if digest != string(c.Pin.Digest) {
		p.Errorf("the registry has %s under %s, the record %s", digest, c.Tag, c.Pin.Digest)
	}
	for label, want := range map[string]string{
		"org.opencontainers.image.revision": string(c.MergeSHA),
		"org.opencontainers.image.version":  c.Version,
	} {
		if labels[label] != want {
			p.Errorf("label %s is %q, want %q", label, labels[label], want)
		}
	}
	pushed := map[string]bool{}
	for _, put := range p.registry.noted(func(c call) bool { return isManifest(c.Method, c.Path) && c.Status/100 == 2 }) {
		if strings.HasSuffix(put.Path, "/manifests/"+string(c.Tag)) {
			pushed[digestOf(put.Body)] = true
		}
	}
	if len(pushed) != 1 || !pushed[digest] {
		p.Errorf("pushed under %s: %v, want %s alone", c.Tag, pushed, digest)
	}
}

// runs fails unless the Deployment runs a change's image and says so.
func (p *place) runs(c change.Change) {
	p.Helper()
	if got, want := p.image(), p.pinOf(c); got != want {
		p.Errorf("the Deployment holds %s, want %s", got, want)
	}
	for annotation, want := range map[string]string{
		"slipway.dev/change": c.ID.String(), "slipway.dev/version": c.Version, "slipway.dev/revision": string(c.MergeSHA),
	} {
		if got := p.deployment().Annotations[annotation]; got != want {
			p.Errorf("annotation %s is %q, want %q", annotation, got, want)
		}
	}
}

// evidenced fails unless every gate of a change that was shipped on fake nodes
// has its evidence.
func evidenced(t *testing.T, c change.Change) {
	t.Helper()
	for _, g := range c.Gates {
		want := change.Passed
		if g.Name == change.Rollout || g.Name == change.Health {
			want = change.Simulated
		}
		if g.State != want || g.At.IsZero() {
			t.Errorf("gate %s is %s at %s, want %s", g.Name, g.State, g.At, want)
		}
	}
	e := func(n change.GateName) change.Evidence { return c.Gate(n).Evidence }
	for what, held := range map[string]bool{
		"code: the head":                       e(change.Code).Head == c.Head && c.Head != "",
		"opened: the pull request":             e(change.Opened).PullRequest == c.ID,
		"reviewed: two approvals on the head":  len(e(change.Reviewed).Approvals) == 2 && e(change.Reviewed).Approvals[0].Commit == c.Head && e(change.Reviewed).Approvals[1].Commit == c.Head,
		"reviewed: the check":                  len(e(change.Reviewed).Checks) == 1 && e(change.Reviewed).Checks[0].Context == stage.Check,
		"reviewed: the snapshot":               e(change.Reviewed).Snapshot != "",
		"merged: the merge commit and by whom": e(change.Merged).MergeSHA == c.MergeSHA && e(change.Merged).MergedBy != "",
		"post_merge_ci: the check there":       e(change.PostMergeCI).MergeSHA == c.MergeSHA && len(e(change.PostMergeCI).Checks) == 1,
		"image: tag, digest and page":          e(change.Image).Tag == c.Tag && e(change.Image).Digest == c.Pin.Digest && e(change.Image).Release != "",
		"image: the pin":                       e(change.Image).Image == c.Pin.String(),
		"rollout: the pods' images":            len(e(change.Rollout).Pods) == 2 && strings.HasSuffix(e(change.Rollout).Pods[0].ImageID, string(c.Pin.Digest)),
		"health: the digest":                   e(change.Health).Digest == c.Pin.Digest,
	} {
		if !held {
			t.Errorf("the evidence lacks %s; %+v", what, c.Gates)
		}
	}
}
