package change

import (
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// Receipt says what landed and on whose word. It is kept in the journal and as
// a git note on the merge commit.
type Receipt struct {
	Change ref.PullID `json:"pull_request"`
	Base   string     `json:"base"`
	Method string     `json:"method"`
	// Head was judged; Merge landed on Parent.
	Head   ref.SHA `json:"head"`
	Merge  ref.SHA `json:"merge"`
	Parent ref.SHA `json:"parent"`
	// Tree is that of Merge; it equals the merge of Parent and Head.
	Tree     ref.SHA         `json:"tree"`
	Reviews  []ReceiptReview `json:"reviews"`
	Statuses []ReceiptStatus `json:"statuses"`
	MergedBy string          `json:"merged_by"`
	MergedAt time.Time       `json:"merged_at"`
	// Policy and Snapshot are the hashes of the policy and of the snapshot that
	// were judged.
	Policy   string `json:"policy"`
	Snapshot string `json:"snapshot"`
	// Emergency is the waiver it was merged under, nil for none.
	Emergency *gate.Emergency `json:"emergency,omitempty"`
	// Journal is the head of the journal when the receipt was written.
	Journal JournalHead `json:"journal"`
	// Key names the public key, and Signature is Ed25519's over the receipt
	// without it, in base64.
	Key       string `json:"key"`
	Signature string `json:"signature,omitempty"`
}

// JournalHead is where a journal stands.
type JournalHead struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// ReceiptReview is one that counted, with the head observed with it.
type ReceiptReview struct {
	Login    string  `json:"login"`
	ID       int64   `json:"id"`
	Commit   ref.SHA `json:"commit"`
	Observed ref.SHA `json:"observed"`
	// Kind says whether a person gave it, and Model what an agent ran; an older
	// receipt has neither.
	Kind  gate.Kind `json:"kind,omitempty"`
	Model string    `json:"model,omitempty"`
}

// ReceiptStatus is one required check, with who reported it.
type ReceiptStatus struct {
	Context  string     `json:"context"`
	State    gate.State `json:"state"`
	Reporter string     `json:"reporter"`
	URL      string     `json:"url,omitempty"`
}
