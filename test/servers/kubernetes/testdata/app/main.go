// Command app is the service that the tests deploy: it answers with its
// version, or crashes at once.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	version := os.Getenv("VERSION")
	fmt.Println("starting", version)
	if os.Getenv("CRASH") != "" {
		log.Fatal("crashing as told")
	}
	server := &http.Server{
		Addr:              ":8080",
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, version, r.URL.Path)
		}),
	}
	log.Fatal(server.ListenAndServe())
}
