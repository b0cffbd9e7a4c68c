// Package lab holds what labcontrol and labregister share: the listener for
// the test's commands, the relay map file, and the sender that turns complete
// maps into a first message and deltas.
package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"

	"tailscale.com/tailcfg"
)

// Commands maps a command's name to its handler. A handler gets the request
// body and returns what is sent back as JSON (nil: an empty object).
type Commands map[string]func(json.RawMessage) (any, error)

// Command makes a handler out of a function that takes its arguments decoded.
// Unknown fields are an error: a mistyped test must not pass by accident.
func Command[T any](f func(T) (any, error)) func(json.RawMessage) (any, error) {
	return func(body json.RawMessage) (any, error) {
		var args T
		if len(bytes.TrimSpace(body)) > 0 {
			dec := json.NewDecoder(bytes.NewReader(body))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&args); err != nil {
				return nil, err
			}
		}
		return f(args)
	}
}

// ServeCommands listens on addr, "unix:/path" or "127.0.0.1:port", and
// answers POST /<name> for ever. It refuses any address but a local one.
func ServeCommands(addr string, commands Commands) error {
	var l net.Listener
	var err error
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		os.Remove(path)
		l, err = net.Listen("unix", path)
	} else {
		host, _, splitErr := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); splitErr != nil || ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("commands are taken on loopback or a unix socket only, not on %q", addr)
		}
		l, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := commands[strings.Trim(r.URL.Path, "/")]
		if !ok {
			http.Error(w, "commands: "+strings.Join(commands.names(), " "), http.StatusNotFound)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := handler(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if result == nil {
			result = struct{}{}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(result)
	}))
	return nil
}

func (c Commands) names() []string {
	var names []string
	for name := range c {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// ReadDERPMap reads a relay map in tailcfg's JSON. It never lets a client
// fall back on the public relays.
func ReadDERPMap(path string) (*tailcfg.DERPMap, error) {
	m := &tailcfg.DERPMap{OmitDefaultRegions: true}
	if path == "" {
		return m, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.OmitDefaultRegions = true
	return m, nil
}

// Match reports whether a test's name for a node (id, host name, first label
// of the name, node key, or one of its addresses) means n.
func Match(n *tailcfg.Node, name string) bool {
	label, _, _ := strings.Cut(n.Name, ".")
	if name == fmt.Sprint(int64(n.ID)) || name == n.Key.String() || name == label || name == n.Hostinfo.Hostname() {
		return name != ""
	}
	for _, a := range n.Addresses {
		if a.Addr().String() == name {
			return true
		}
	}
	return false
}

// Pick finds the one node that name means.
func Pick(nodes []*tailcfg.Node, name string) (*tailcfg.Node, error) {
	var found *tailcfg.Node
	for _, n := range nodes {
		if !Match(n, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%q means more than one node", name)
		}
		found = n
	}
	if found == nil {
		return nil, fmt.Errorf("no node %q", name)
	}
	return found, nil
}

// Fatal ends the program with the reason as its last line.
func Fatal(err error) {
	if err == nil {
		err = errors.New("unknown error")
	}
	log.Fatal(err)
}
