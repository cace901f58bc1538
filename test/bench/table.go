package main

// measurement is one Go benchmark with the figures taken from it.
type measurement struct {
	id    string
	pkg   string
	bench string // the pattern for -bench
	flags []string
	// figures are its rows.
	figures []figure
}

// figure is one row: the units in which the benchmark reports ours and the
// reference, and what the ratio, or without a reference ours, must come to.
type figure struct {
	what      string
	ours      string
	reference string
	unit      string
	times     float64 // from the benchmark's unit to this one; 0 is 1
	atMost    float64
	atLeast   float64
	report    bool // held to nothing
}

func measurements() []measurement {
	once := []string{"-benchtime", "1x"}
	return []measurement{
		{"B1", "./test/e2e", "^BenchmarkB1$", once, []figure{
			{what: "last approval to merged; the forge's own merge call", ours: "ours-ms", reference: "reference-ms", unit: "ms", atMost: 1.15},
		}},
		{"B2", "./test/e2e", "^BenchmarkB2$", once, []figure{
			{what: "last status to merged; the forge's own merge when checks succeed", ours: "ours-ms", reference: "reference-ms", unit: "ms", atMost: 1},
		}},
		{"B2", "./test/e2e", "^BenchmarkB2Stock$", once, []figure{
			{what: "the same on the forge's stock settings", ours: "ours-ms", reference: "reference-ms", unit: "ms", report: true},
		}},
		{"B3", "./internal/forge/gitea", "^BenchmarkB3$", once, []figure{
			{what: "forge calls of the first look", ours: "calls/first", atMost: 12},
			{what: "forge calls of each later look", ours: "calls/later", atMost: 5},
		}},
		{"B3", "./test/e2e", "^BenchmarkB3$", once, []figure{
			{what: "looks a second at one change in a storm of events", ours: "looks/s", atMost: 1},
			{what: "events a second of that storm", ours: "events/s", report: true},
		}},
		{"B4", "./internal/store", "^BenchmarkAccept$", []string{"-benchtime", "3x"}, []figure{
			{what: "due keys accepted durably, 64 at once; the store's raw group commits", ours: "accepted/s", reference: "raw/s", unit: "/s", atLeast: 0.7},
		}},
		{"B5", "./gate", "^BenchmarkB5$", nil, []figure{
			{what: "one verdict: 20 checks, 20 reviews, 200 files", ours: "ns/op", unit: "µs", times: 1e-3, atMost: 50},
			{what: "ten times as much of everything, by what ten would cost", ours: "ns/op-x10", reference: "ns/op-10x", unit: "µs", times: 1e-3, atMost: 1.5},
		}},
		{"B6", "./internal/reconcile", "^BenchmarkB6$", once, []figure{
			{what: "list calls per 50 of 10,000 unfinished changes, in one resync", ours: "lists/50", atMost: 1},
			{what: "status reads per change that waits only on checks", ours: "reads/waiting", atMost: 1},
			{what: "other calls about changes", ours: "others", atMost: 0},
			{what: "calls about the branch and its policy", ours: "once", report: true},
		}},
		{"B8", "./internal/store", "^BenchmarkB8$", []string{"-benchtime", "3x"}, []figure{
			{what: "claims by 1,000 builders that long-poll; the store's raw group commits", ours: "claims/s", reference: "raw/s", unit: "/s", atLeast: 0.6},
			{what: "the slowest of 100 claims, all 1,000 asking at once", ours: "p99-ms", unit: "ms", atMost: 100},
			{what: "the same claims; what they write, inserted raw", ours: "claims/s", reference: "written/s", unit: "/s", report: true},
		}},
		{"B10", "./dispatcher", "^BenchmarkB10$", once, []figure{
			{what: "a model's line edited to the next claim that carries it, the slowest of ten", ours: "swap-ms", unit: "ms", atMost: 1000},
			{what: "long polls that the swaps cut", ours: "restarts", atMost: 0},
			{what: "coordinates that changed their names with them", ours: "renames", atMost: 0},
		}},
	}
}
