package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"warrenvpn.org/tests/interop/internal/lab"
)

const (
	gather    = 20 * time.Millisecond // changes of this span become one message
	keepAlive = 50 * time.Second
)

// control is the tailnet as the test wants it to be told.
type control struct {
	srv   *testcontrol.Server
	pings *pings

	mu       sync.Mutex
	streams  map[tailcfg.NodeID]*stream
	current  map[tailcfg.NodeID]key.NodePublic // the key a node last asked for its map with
	online   map[tailcfg.NodeID]bool
	lastSeen map[tailcfg.NodeID]time.Time
	removed  map[tailcfg.NodeID]bool
	refused  map[tailcfg.NodeID]bool
	filters  map[tailcfg.NodeID][]tailcfg.FilterRule // id 0: everyone without own rules
	messages map[tailcfg.NodeID]map[tailcfg.DisplayMessageID]*tailcfg.DisplayMessage
	users    []tailcfg.UserProfile
	synth    []*tailcfg.Node
	mode     mode
}

// mode are the switches of the "mode" command; absent ones stay as they are.
type mode struct {
	RequireAuth        *bool   `json:"require_auth,omitempty"`
	RequireAuthKey     *string `json:"require_auth_key,omitempty"`
	RequireMachineAuth *bool   `json:"require_machine_auth,omitempty"`
	Patches            *bool   `json:"patches,omitempty"`       // PeersChangedPatch where possible
	WholeList          *bool   `json:"whole_list,omitempty"`    // every peer in every update
	OldFilter          *bool   `json:"old_filter,omitempty"`    // PacketFilter instead of PacketFilters
	Refuse             *bool   `json:"refuse,omitempty"`        // end every new stream at once
	Silent             *bool   `json:"silent,omitempty"`        // no keep-alives
	OfflineAfterMS     *int    `json:"offline_after,omitempty"` // from the end of a stream to "offline"
}

// stream is one running map stream; all channels but raw are only signals.
type stream struct {
	wake chan struct{}
	end  chan struct{}
	once sync.Once
	raw  chan *tailcfg.MapResponse
}

func (s *stream) stop() { s.once.Do(func() { close(s.end) }) }

func newControl(srv *testcontrol.Server) *control {
	c := &control{
		srv:      srv,
		pings:    newPings(srv),
		streams:  map[tailcfg.NodeID]*stream{},
		current:  map[tailcfg.NodeID]key.NodePublic{},
		online:   map[tailcfg.NodeID]bool{},
		lastSeen: map[tailcfg.NodeID]time.Time{},
		removed:  map[tailcfg.NodeID]bool{},
		refused:  map[tailcfg.NodeID]bool{},
		filters:  map[tailcfg.NodeID][]tailcfg.FilterRule{},
		messages: map[tailcfg.NodeID]map[tailcfg.DisplayMessageID]*tailcfg.DisplayMessage{},
	}
	srv.AltMapStream = c.serveMap
	return c
}

func on(b *bool) bool { return b != nil && *b }

func (c *control) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// nodes returns the real nodes, one per id: after a key rotation testcontrol
// keeps the old key's entry too, and a rotation that waits for approval has
// an entry that nobody may see yet.
func (c *control) nodes() []*tailcfg.Node {
	c.mu.Lock()
	current := maps.Clone(c.current)
	c.mu.Unlock()
	return slices.DeleteFunc(c.srv.AllNodes(), func(n *tailcfg.Node) bool {
		k, known := current[n.ID]
		return known && k != n.Key
	})
}

// serveMap is testcontrol's hook: the status 200 is already out.
func (c *control) serveMap(ctx context.Context, w testcontrol.MapStreamWriter, req *tailcfg.MapRequest) {
	node := c.srv.Node(req.NodeKey)
	if node == nil {
		return
	}
	c.mu.Lock()
	refused := on(c.mode.Refuse) || c.refused[node.ID] || c.removed[node.ID]
	if !refused {
		c.current[node.ID] = node.Key
	}
	c.mu.Unlock()
	switch {
	case refused:
	case req.Stream:
		c.stream(ctx, w, req, node.ID)
	default:
		if !req.ReadOnly {
			c.update(node, req)
		}
		w.SendMapMessage(&tailcfg.MapResponse{})
	}
}

// update stores what a lite update says; testcontrol leaves that to its hook.
func (c *control) update(node *tailcfg.Node, req *tailcfg.MapRequest) {
	node.Endpoints = slices.DeleteFunc(slices.Clone(req.Endpoints), func(ep netipAddrPort) bool {
		return ep.Addr().Zone() != "" || ep.Addr().Is6() && ep.Addr().IsLinkLocalUnicast()
	})
	node.DiscoKey = req.DiscoKey
	node.Cap = req.Version
	if req.Hostinfo != nil {
		node.Hostinfo = req.Hostinfo.View()
		if ni := req.Hostinfo.NetInfo; ni != nil && ni.PreferredDERP != 0 {
			node.HomeDERP = ni.PreferredDERP
		}
	}
	c.srv.UpdateNode(node)
	c.wakeAll()
}

func (c *control) stream(ctx context.Context, w testcontrol.MapStreamWriter, req *tailcfg.MapRequest, id tailcfg.NodeID) {
	s := &stream{wake: make(chan struct{}, 1), end: make(chan struct{}), raw: make(chan *tailcfg.MapResponse, 64)}
	c.mu.Lock()
	if old := c.streams[id]; old != nil {
		old.stop()
	}
	c.streams[id] = s
	c.online[id] = true
	sender := &lab.Sender{Patches: on(c.mode.Patches), Whole: on(c.mode.WholeList)}
	c.mu.Unlock()
	defer c.streamEnded(id, s)
	c.wakeAll()

	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		full, err := c.fullMap(req)
		if err != nil || full == nil {
			return
		}
		if msg := sender.Next(full); msg != nil && w.SendMapMessage(msg) != nil {
			return
		}
		if !c.waitForChange(ctx, w, s, alive) {
			return
		}
	}
}

// waitForChange sends injected messages and keep-alives until the map has to
// be looked at again; false means that the stream is over.
func (c *control) waitForChange(ctx context.Context, w testcontrol.MapStreamWriter, s *stream, alive *time.Ticker) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.end:
			return false
		case msg := <-s.raw:
			if w.SendMapMessage(msg) != nil {
				return false
			}
		case <-alive.C:
			c.mu.Lock()
			silent := on(c.mode.Silent)
			c.mu.Unlock()
			if !silent && w.SendMapMessage(&tailcfg.MapResponse{KeepAlive: true}) != nil {
				return false
			}
		case <-s.wake:
			time.Sleep(gather)
			select {
			case <-s.wake:
			default:
			}
			return true
		}
	}
}

func (c *control) streamEnded(id tailcfg.NodeID, s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[id] != s {
		return
	}
	delete(c.streams, id)
	c.lastSeen[id] = time.Now().UTC().Truncate(time.Second)
	delay := 2 * time.Second
	if ms := c.mode.OfflineAfterMS; ms != nil {
		delay = time.Duration(*ms) * time.Millisecond
	}
	time.AfterFunc(delay, func() {
		c.mu.Lock()
		gone := c.streams[id] == nil
		if gone {
			c.online[id] = false
		}
		c.mu.Unlock()
		if gone {
			c.wakeAll()
		}
	})
}

// fullMap is testcontrol's map with everything laid over it that only we know.
func (c *control) fullMap(req *tailcfg.MapRequest) (*tailcfg.MapResponse, error) {
	full, err := c.srv.MapResponse(req)
	if err != nil || full == nil {
		return full, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := full.Node.ID
	full.Peers = slices.DeleteFunc(full.Peers, func(p *tailcfg.Node) bool {
		k, known := c.current[p.ID]
		return p.ID == id || c.removed[p.ID] || known && k != p.Key
	})
	for _, p := range full.Peers {
		online := c.online[p.ID]
		p.Online = &online
		if seen, ok := c.lastSeen[p.ID]; ok && !online {
			p.LastSeen = &seen
		}
		p.Expired = !p.KeyExpiry.IsZero() && p.KeyExpiry.Before(time.Now())
	}
	full.Peers = append(full.Peers, c.synth...)
	full.UserProfiles = uniqueUsers(append(full.UserProfiles, c.users...))
	rules, own := c.filters[id]
	if !own {
		rules, own = c.filters[0]
	}
	if own {
		full.PacketFilter = rules
	}
	if !on(c.mode.OldFilter) {
		full.PacketFilters = map[string][]tailcfg.FilterRule{"*": nil, "base": full.PacketFilter}
		full.PacketFilter = nil
	}
	if full.DNSConfig == nil {
		full.DNSConfig = &tailcfg.DNSConfig{}
	}
	if m := c.messages[id]; m != nil {
		full.DisplayMessages = m
	}
	return full, nil
}

func uniqueUsers(users []tailcfg.UserProfile) []tailcfg.UserProfile {
	slices.SortStableFunc(users, func(a, b tailcfg.UserProfile) int { return int(a.ID - b.ID) })
	return slices.CompactFunc(users, func(a, b tailcfg.UserProfile) bool { return a.ID == b.ID })
}
