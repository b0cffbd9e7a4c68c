package main

import (
	"net/http"
	"slices"
	"time"

	"tailscale.com/tailcfg"
	"warrenvpn.org/tests/interop/internal/lab"
)

// stream is one running map stream.
type stream struct {
	conn *conn
	wake chan struct{}
	end  chan struct{}
	raw  chan *tailcfg.MapResponse
	gone bool // its node was removed but nobody tells it
}

func (s *server) serveMap(w http.ResponseWriter, r *http.Request) {
	req := new(tailcfg.MapRequest)
	if err := readJSON(r, req); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	c := connOf(r)
	s.mu.Lock()
	m := s.store.byKey(req.NodeKey)
	problem := ""
	switch {
	case m == nil:
		problem = "node not found"
	case m.Node.Machine != c.machine:
		problem = "node key in request does not match the one associated with this machine key"
	}
	var f *fault
	if problem == "" {
		if f = s.takeFault("map", m.Node.Hostinfo.Hostname()); f == nil {
			s.apply(m, req)
		}
	}
	s.mu.Unlock()
	switch {
	case problem != "":
		http.Error(w, problem, http.StatusNotFound)
	case f != nil:
		f.write(w)
	case req.Stream:
		s.serveStream(w, r, req, m)
	default:
		w.WriteHeader(http.StatusOK)
		s.wakeAll()
	}
}

// apply stores what a request says of its node; mu is held. With erase_absent
// what it does not say is forgotten, as a self-hosted server does.
func (s *server) apply(m *member, req *tailcfg.MapRequest) {
	n, erase := m.Node, on(s.mode.EraseAbsent)
	if req.Stream && !erase && !n.DiscoKey.IsZero() {
		return
	}
	if !req.DiscoKey.IsZero() || erase {
		n.DiscoKey = req.DiscoKey
	}
	if len(req.Endpoints) > 0 || erase {
		n.Endpoints = slices.DeleteFunc(slices.Clone(req.Endpoints), func(ep addrPort) bool {
			return ep.Addr().Zone() != "" || ep.Addr().Is6() && ep.Addr().IsLinkLocalUnicast()
		})
	}
	if req.Hostinfo != nil {
		n.Hostinfo = req.Hostinfo.View()
		if ni := req.Hostinfo.NetInfo; ni != nil && ni.PreferredDERP != 0 {
			n.HomeDERP = ni.PreferredDERP
		}
	} else if erase {
		n.Hostinfo = (&tailcfg.Hostinfo{}).View()
	}
	n.Cap = req.Version
	s.saved()
}

func (s *server) serveStream(w http.ResponseWriter, r *http.Request, req *tailcfg.MapRequest, m *member) {
	id := m.Node.ID
	st := &stream{conn: connOf(r), wake: make(chan struct{}, 1), end: make(chan struct{}), raw: make(chan *tailcfg.MapResponse, 64)}
	s.mu.Lock()
	s.streams[id] = append(s.streams[id], st)
	s.online[id] = true
	sender := &lab.Sender{Whole: on(s.mode.WholeList), Patches: on(s.mode.Patches)}
	alive := time.NewTicker(ms(s.mode.KeepAliveMS, 50*time.Second))
	firstFrame := ms(s.mode.FirstFrameMS, 0)
	s.mu.Unlock()
	defer alive.Stop()
	defer s.streamEnded(m, st)
	s.wakeAll()

	if firstFrame > 0 {
		time.Sleep(firstFrame)
	} else {
		w.WriteHeader(http.StatusOK)
	}
	compress := req.Compress == "zstd"
	for {
		full := s.fullMap(id, st)
		if full != nil {
			if msg := sender.Next(full); msg != nil && writeFrame(w, compress, msg) != nil {
				return
			}
		}
		if !s.waitForChange(w, r, st, compress, alive) {
			return
		}
	}
}

func (s *server) waitForChange(w http.ResponseWriter, r *http.Request, st *stream, compress bool, alive *time.Ticker) bool {
	for {
		select {
		case <-r.Context().Done():
			return false
		case <-st.end:
			return false
		case msg := <-st.raw:
			if writeFrame(w, compress, msg) != nil {
				return false
			}
		case <-alive.C:
			if writeFrame(w, compress, struct{ KeepAlive bool }{true}) != nil {
				return false
			}
		case <-st.wake:
			time.Sleep(20 * time.Millisecond)
			select {
			case <-st.wake:
			default:
			}
			return true
		}
	}
}

func (s *server) streamEnded(m *member, st *stream) {
	id := m.Node.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[id] = slices.DeleteFunc(s.streams[id], func(o *stream) bool { return o == st })
	if len(s.streams[id]) > 0 {
		return
	}
	offlineAfter, ephemeral := ms(s.mode.OfflineAfterMS, 2*time.Second), ms(s.mode.EphemeralMS, 5*time.Second)
	gone := func(also func()) func() {
		return func() {
			s.mu.Lock()
			if len(s.streams[id]) == 0 && s.store.byKey(m.Node.Key) == m {
				also()
			}
			s.mu.Unlock()
			s.wakeAll()
		}
	}
	time.AfterFunc(offlineAfter, gone(func() {
		s.online[id] = false
		now := time.Now().UTC().Truncate(time.Second)
		m.Node.LastSeen = &now
	}))
	if m.Ephemeral {
		time.AfterFunc(offlineAfter+ephemeral, gone(func() { s.forget(m); s.saved() }))
	}
}

// forget removes a node and ends its streams, or leaves them alive with
// nothing but keep-alives; mu is held.
func (s *server) forget(m *member) {
	s.store.remove(m)
	for _, st := range s.streams[m.Node.ID] {
		if on(s.mode.KeepaliveRemoved) {
			st.gone = true
		} else {
			st.stop()
		}
	}
}

// stop ends the stream; the server's mu is held.
func (st *stream) stop() {
	select {
	case <-st.end:
	default:
		close(st.end)
	}
}

func (s *server) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, streams := range s.streams {
		for _, st := range streams {
			select {
			case st.wake <- struct{}{}:
			default:
			}
		}
	}
}

// fullMap is the complete map for a node, nil when it has nothing to be told.
func (s *server) fullMap(id tailcfg.NodeID, st *stream) *tailcfg.MapResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.gone {
		return nil
	}
	full := &tailcfg.MapResponse{
		DERPMap:       s.derpMap,
		DNSConfig:     &tailcfg.DNSConfig{Domains: []string{baseDomain}, Proxied: true, Routes: nil},
		Domain:        baseDomain,
		PacketFilters: map[string][]tailcfg.FilterRule{"base": tailcfg.FilterAllowAll},
		UserProfiles:  []tailcfg.UserProfile{{ID: labUser.ID, LoginName: labLogin.LoginName, DisplayName: labUser.DisplayName}},
		Debug:         &tailcfg.Debug{DisableLogTail: true},
	}
	for _, m := range s.store.Nodes {
		n := m.Node.Clone()
		n.Expired = m.expired()
		if n.ID == id {
			n.MachineAuthorized = !n.Expired
			online := true
			n.Online = &online
			full.Node = n
			continue
		}
		online := s.online[n.ID]
		n.Online = &online
		if online {
			n.LastSeen = nil
		}
		full.Peers = append(full.Peers, n)
	}
	if full.Node == nil {
		return nil
	}
	slices.SortFunc(full.Peers, func(a, b *tailcfg.Node) int { return int(a.ID - b.ID) })
	return full
}
