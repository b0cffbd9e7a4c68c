// Labcontrol is the scripted control server of the interoperability tests:
// the official testcontrol for keys, Noise, registration and addresses, with
// a map stream of our own, so that a test decides what every node is told.
//
// testcontrol ends the whole process on a request it does not know. So this
// passes on only the paths that are safe, and runs as a child of the test,
// which shows the last lines of our stderr.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"tailscale.com/tstest/integration/testcontrol"
	"warrenvpn.org/tests/interop/internal/lab"
)

func main() {
	listen := flag.String("listen", "", "address of the control server, host:port")
	url := flag.String("url", "", "base URL that nodes use (default http://LISTEN)")
	commands := flag.String("commands", "", "where commands are taken: unix:/path or 127.0.0.1:port")
	derpMap := flag.String("derp-map", "", "file with the relay map as tailcfg JSON")
	domain := flag.String("domain", "lab.test", "base domain of node names")
	oneUser := flag.Bool("one-user", true, "all nodes belong to one user")
	verbose := flag.Bool("v", false, "log every request")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if *listen == "" || *commands == "" {
		log.Fatal("labcontrol: -listen and -commands are needed")
	}
	if *url == "" {
		*url = "http://" + *listen
	}
	relays, err := lab.ReadDERPMap(*derpMap)
	if err != nil {
		lab.Fatal(err)
	}
	c := newControl(&testcontrol.Server{
		ExplicitBaseURL:  *url,
		DERPMap:          relays,
		MagicDNSDomain:   *domain,
		AllNodesSameUser: *oneUser,
		Verbose:          *verbose,
	})
	// testcontrol makes its keys when /key is first asked for, and a /ts2021 before that is a crash.
	c.srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/key?v=131", nil))

	l, err := net.Listen("tcp", *listen)
	if err != nil {
		lab.Fatal(err)
	}
	if err := lab.ServeCommands(*commands, c.commands()); err != nil {
		lab.Fatal(err)
	}
	log.Printf("labcontrol: serving %s", *url)
	lab.Fatal(http.Serve(l, http.HandlerFunc(c.servePublic)))
}

func (c *control) servePublic(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/key" && r.Method == "GET",
		path == "/ts2021" && (r.Method == "POST" || r.Method == "GET"),
		path == "/generate_204":
		c.srv.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/auth/"):
		w.Write([]byte("This page only exists to be visited: the test approves.\n"))
	case path == "/machine/ping-response":
		if !c.pings.answered(r.FormValue("id"), r) {
			http.NotFound(w, r)
		}
	default:
		http.NotFound(w, r)
	}
}
