// Labregister is the control server of the tests that are about membership:
// registration, sign-in, logout, removal, expiry, restarts, TLS, and the
// habits of a self-hosted server. Keys and nodes live in one file, so that it
// can be killed and started again under running clients.
//
// It knows no policy: every node sees every other and may do anything.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/url"

	"warrenvpn.org/tests/interop/internal/lab"
)

func main() {
	listen := flag.String("listen", "", "address for plain HTTP, host:port")
	listenTLS := flag.String("listen-tls", "", "address for HTTPS, host:port")
	base := flag.String("url", "", "base URL that nodes use (default http://LISTEN)")
	commands := flag.String("commands", "", "where commands are taken: unix:/path or 127.0.0.1:port")
	state := flag.String("state", "", "file for the server's keys and nodes")
	derpMap := flag.String("derp-map", "", "file with the relay map as tailcfg JSON")
	tlsDir := flag.String("tls-dir", "", "folder for the test authority's ca.pem and ca.key (made if missing)")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if *listen == "" && *listenTLS == "" || *commands == "" || *state == "" {
		log.Fatal("labregister: -listen or -listen-tls, -commands and -state are needed")
	}
	if *base == "" {
		*base = "http://" + *listen
	}
	baseURL, err := url.Parse(*base)
	if err != nil {
		lab.Fatal(err)
	}
	relays, err := lab.ReadDERPMap(*derpMap)
	if err != nil {
		lab.Fatal(err)
	}
	s, err := newServer(*base, *state, relays)
	if err != nil {
		lab.Fatal(err)
	}
	failed := make(chan error, 2)
	handler := s.publicHandler()
	if *listen != "" {
		l, err := net.Listen("tcp", *listen)
		if err != nil {
			lab.Fatal(err)
		}
		go func() { failed <- http.Serve(l, handler) }()
	}
	if *listenTLS != "" {
		s.certs, err = newCertificates(*tlsDir, baseURL.Hostname())
		if err != nil {
			lab.Fatal(err)
		}
		l, err := net.Listen("tcp", *listenTLS)
		if err != nil {
			lab.Fatal(err)
		}
		go func() { failed <- s.certs.serve(l, handler) }()
	}
	if err := lab.ServeCommands(*commands, s.commands()); err != nil {
		lab.Fatal(err)
	}
	log.Printf("labregister: serving %s", *base)
	lab.Fatal(<-failed)
}
