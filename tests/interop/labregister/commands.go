package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"tailscale.com/tailcfg"
	"warrenvpn.org/tests/interop/internal/lab"
)

type addrPort = netip.AddrPort

type (
	nodeArgs   struct{ Node string }
	signInArgs struct {
		URL   string // the sign-in's URL or id
		Error string // of "deny"
	}
	expireArgs struct {
		Node string
		At   *time.Time // absent: now
		Lift bool       // no expiry any more
	}
	endArgs struct {
		Node string // empty: every stream
		Dead bool   // the connection answers 500 from now on
	}
	rawArgs struct {
		Node     string
		Response *tailcfg.MapResponse
	}
	tlsArgs struct{ Kind string }
)

func (s *server) commands() lab.Commands {
	return lab.Commands{
		"nodes":   lab.Command(s.cmdNodes),
		"mode":    lab.Command(s.cmdMode),
		"pending": lab.Command(s.cmdPending),
		"approve": lab.Command(func(a signInArgs) (any, error) { return s.cmdSettle(a.URL, "") }),
		"deny":    lab.Command(func(a signInArgs) (any, error) { return s.cmdSettle(a.URL, a.Error) }),
		"authkey": lab.Command(s.cmdAuthKey),
		"expire":  lab.Command(s.cmdExpire),
		"remove":  lab.Command(s.cmdRemove),
		"fail":    lab.Command(s.cmdFail),
		"end":     lab.Command(s.cmdEnd),
		"raw":     lab.Command(s.cmdRaw),
		"tls":     lab.Command(s.cmdTLS),
		"counts":  lab.Command(s.cmdCounts),
	}
}

func (s *server) pick(name string) (*member, error) { return s.store.byName(name, lab.Match) }

func (s *server) cmdNodes(struct{}) (any, error) {
	type entry struct {
		*tailcfg.Node
		Ephemeral bool
		Streams   int
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := []entry{}
	for _, m := range s.store.Nodes {
		entries = append(entries, entry{m.Node.Clone(), m.Ephemeral, len(s.streams[m.Node.ID])})
	}
	return entries, nil
}

func (s *server) cmdMode(m mode) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return s.mode, json.Unmarshal(b, &s.mode)
}

func (s *server) cmdPending(struct{}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	urls := []string{}
	for id := range s.pending {
		urls = append(urls, s.signInURL(id))
	}
	return urls, nil
}

func (s *server) cmdSettle(url, denied string) (any, error) {
	err := s.settle(url, denied)
	s.wakeAll()
	return nil, err
}

func (s *server) cmdAuthKey(k authKey) (any, error) {
	if k.Key == "" {
		return nil, errors.New("no Key")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.store.AuthKeys {
		if old.Key == k.Key {
			s.store.AuthKeys[i] = &k
			return nil, s.store.save()
		}
	}
	s.store.AuthKeys = append(s.store.AuthKeys, &k)
	return nil, s.store.save()
}

func (s *server) cmdExpire(a expireArgs) (any, error) {
	s.mu.Lock()
	defer s.wakeAll()
	defer s.mu.Unlock()
	m, err := s.pick(a.Node)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Lift:
		m.Node.KeyExpiry = time.Time{}
	case a.At != nil:
		m.Node.KeyExpiry = a.At.UTC()
	default:
		m.Node.KeyExpiry = time.Now().Add(-time.Second).UTC().Truncate(time.Second)
	}
	return m.Node, s.store.save()
}

func (s *server) cmdRemove(a nodeArgs) (any, error) {
	s.mu.Lock()
	defer s.wakeAll()
	defer s.mu.Unlock()
	m, err := s.pick(a.Node)
	if err != nil {
		return nil, err
	}
	s.forget(m)
	return nil, s.store.save()
}

func (s *server) cmdFail(f fault) (any, error) {
	if f.What != "register" && f.What != "map" {
		return nil, fmt.Errorf("What is register or map")
	}
	if f.What == "map" && f.Status == 0 {
		return nil, fmt.Errorf("a failing map needs a Status")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil, nil
}

// cmdEnd ends map streams as a stopping server does: END_STREAM, no GOAWAY,
// the connection stays.
func (s *server) cmdEnd(a endArgs) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var only tailcfg.NodeID
	if a.Node != "" {
		m, err := s.pick(a.Node)
		if err != nil {
			return nil, err
		}
		only = m.Node.ID
	}
	for id, streams := range s.streams {
		if only != 0 && id != only {
			continue
		}
		for _, st := range streams {
			if a.Dead {
				st.conn.dead.Store(true)
			}
			st.stop()
		}
	}
	return nil, nil
}

func (s *server) cmdRaw(a rawArgs) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.pick(a.Node)
	if err != nil {
		return nil, err
	}
	streams := s.streams[m.Node.ID]
	if a.Response == nil || len(streams) == 0 {
		return nil, fmt.Errorf("%q is not connected, or no Response", a.Node)
	}
	streams[len(streams)-1].raw <- a.Response
	return nil, nil
}

func (s *server) cmdTLS(a tlsArgs) (any, error) {
	if s.certs == nil {
		return nil, errors.New("started without -listen-tls")
	}
	return nil, s.certs.use(a.Kind)
}

func (s *server) cmdCounts(struct{}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for k, v := range s.requests {
		counts[k] = v
	}
	return counts, nil
}
