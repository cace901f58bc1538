package main

// The supervisor is spoken to in JSON, one value per line: orders on its
// standard input, reports on its standard output. The first order is the setup.
// Whoever gives orders keeps its own copy of these types, since this program is
// a module of its own (test/servers/kubernetes/supervisor.go).

// Order asks for one thing.
type Order struct {
	Setup *Setup `json:"setup,omitempty"`
	Start *Start `json:"start,omitempty"`
}

// Setup says in what surroundings the processes run.
type Setup struct {
	// Private says that the supervisor is the first process of mount, network
	// and PID namespaces of its own and may furnish them. The rest of Setup is
	// for that case only.
	Private bool `json:"private,omitempty"`

	Hide     []string          `json:"hide,omitempty"`   // folders to cover with empty ones
	Kernel   map[string]string `json:"kernel,omitempty"` // settings below /proc/sys to show with a fixed value
	Bridge   *Bridge           `json:"bridge,omitempty"`
	Forwards []Forward         `json:"forwards,omitempty"`
}

// Bridge is the network device that pods are attached to.
type Bridge struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix"` // its own address and the network's length: 10.88.0.1/16
}

// Forward carries connections from one address to another.
type Forward struct {
	From Address `json:"from"`
	To   Address `json:"to"`
}

// Address is what net.Dial takes.
type Address struct {
	Network string `json:"network"` // tcp or unix
	Address string `json:"address"`
}

// Start asks for a process.
type Start struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Args []string `json:"args"` // the program's own name first
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
	Log  string   `json:"log"` // file that both outputs are appended to
}

// Report tells of one thing that happened.
type Report struct {
	Ready  bool    `json:"ready,omitempty"` // the setup is done
	Fault  string  `json:"fault,omitempty"` // the supervisor cannot go on, and ends
	Exited *Exited `json:"exited,omitempty"`
}

// Exited tells that a process ended, or could not be started.
type Exited struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`     // ended with status 0
	Status string `json:"status"` // how it ended, in words
}
