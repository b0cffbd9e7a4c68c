package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tailscale.com/net/tsaddr"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const (
	synthFirstID   = 1_000_000
	synthFirstUser = 5_000
	synthUsers     = 50
)

type synthArgs struct {
	Count  int
	Online bool
	Home   int // home relay
}

// cmdSynth makes the tailnet have Count peers that exist only in the map,
// with addresses in 100.80.0.0/12, services, endpoints and one of 50 users.
func (c *control) cmdSynth(a synthArgs) (any, error) {
	nodes := make([]*tailcfg.Node, a.Count)
	for i := range nodes {
		nodes[i] = synthNode(i, a)
	}
	users := make([]tailcfg.UserProfile, min(a.Count, synthUsers))
	for i := range users {
		id := tailcfg.UserID(synthFirstUser + i)
		users[i] = tailcfg.UserProfile{ID: id, LoginName: fmt.Sprintf("user%d@lab.test", i), DisplayName: fmt.Sprintf("User %d", i)}
	}
	c.mu.Lock()
	c.synth, c.users = nodes, users
	c.mu.Unlock()
	c.wakeAll()
	return nil, nil
}

// cmdPeer adds a peer that exists only in the map as the test describes it,
// for instance a plain WireGuard endpoint.
func (c *control) cmdPeer(a peerArgs) (any, error) {
	c.mu.Lock()
	if a.Peer == nil {
		c.synth = nil
	} else {
		c.synth = append(slices.Clone(c.synth), a.Peer)
	}
	c.mu.Unlock()
	c.wakeAll()
	return nil, nil
}

func synthNode(i int, a synthArgs) *tailcfg.Node {
	n := i + 1
	v4 := netip.AddrFrom4([4]byte{100, byte(80 + n>>16), byte(n >> 8), byte(n)})
	addresses := []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(tsaddr.Tailscale4To6(v4), 128)}
	name := fmt.Sprintf("synth-%d", n)
	host := &tailcfg.Hostinfo{
		OS: "linux", OSVersion: "6.1.0", Hostname: name, IPNVersion: "1.102.5", GoArch: "amd64", Machine: "x86_64",
		Services: []tailcfg.Service{{Proto: tailcfg.PeerAPI4, Port: 40000}, {Proto: tailcfg.PeerAPI6, Port: 40000}},
	}
	online := a.Online
	node := &tailcfg.Node{
		ID:                tailcfg.NodeID(synthFirstID + i),
		StableID:          tailcfg.StableNodeID(fmt.Sprintf("synth%08d", n)),
		Name:              name + ".lab.test.",
		User:              tailcfg.UserID(synthFirstUser + i%synthUsers),
		Key:               key.NewNode().Public(),
		Machine:           key.NewMachine().Public(),
		DiscoKey:          key.NewDisco().Public(),
		Addresses:         addresses,
		AllowedIPs:        addresses,
		Endpoints:         []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 200, byte(n >> 8), byte(n)}), 41641), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 201, byte(n >> 8), byte(n)}), 41641)},
		HomeDERP:          a.Home,
		Hostinfo:          host.View(),
		Created:           time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Cap:               131,
		Online:            &online,
		MachineAuthorized: true,
	}
	return node
}
