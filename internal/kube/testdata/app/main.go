// Command app is what the tests deploy: a server that answers a health question
// in every way a server can, or one that crashes.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	revision := os.Getenv("REVISION")
	if why := os.Getenv("CRASH"); why != "" {
		fmt.Println("opening the harbour")
		fmt.Println(why)
		os.Exit(3)
	}
	mux := http.NewServeMux()
	say := func(path string, status int, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	healthy := fmt.Sprintf(`{"status":"ok","revision":%q}`, revision)
	say("/healthz", http.StatusOK, healthy)
	say("/slash/", http.StatusOK, healthy)
	say("/sick", http.StatusInternalServerError, healthy)
	say("/text", http.StatusOK, "all is well")
	say("/list", http.StatusOK, `["revision"]`)
	say("/null", http.StatusOK, `null`)
	say("/without", http.StatusOK, `{"status":"ok"}`)
	say("/number", http.StatusOK, `{"revision":7}`)
	say("/empty", http.StatusOK, `{"revision":""}`)
	say("/status", http.StatusForbidden, `{"kind":"Status","message":"made up"}`)
	say("/long", http.StatusOK, fmt.Sprintf(`{"revision":%q,"pad":%q}`, revision, strings.Repeat("x", 1000)))
	say("/big", http.StatusOK, fmt.Sprintf(`{"revision":%q,"pad":%q}`, revision, strings.Repeat("x", 70<<10)))
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"revision":%q}`, r.URL.Query().Get("of"))
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.invalid/healthz", http.StatusFound)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Println(server.ListenAndServe())
	os.Exit(1)
}
