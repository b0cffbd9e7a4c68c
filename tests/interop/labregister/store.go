package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"tailscale.com/net/tsaddr"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// store is everything that survives a restart, as it is in the file.
type store struct {
	path string

	MachineKey key.MachinePrivate
	NextID     int
	Nodes      []*member
	AuthKeys   []*authKey
}

// member is a node of the tailnet.
type member struct {
	Node      *tailcfg.Node
	Ephemeral bool
}

type authKey struct {
	Key       string
	Reusable  bool
	Ephemeral bool
	Tags      []string
	Expires   time.Time
	Used      bool
	Revoked   bool
}

func openStore(path string) (*store, error) {
	s := &store{path: path, NextID: 1}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.MachineKey = key.NewMachine()
		return s, s.save()
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *store) save() error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path+".new", s.path)
}

func (s *store) byKey(k key.NodePublic) *member {
	if k.IsZero() {
		return nil
	}
	for _, m := range s.Nodes {
		if m.Node.Key == k {
			return m
		}
	}
	return nil
}

// byMachine is how a rotated key finds its node again.
func (s *store) byMachine(k key.MachinePublic) *member {
	for _, m := range s.Nodes {
		if m.Node.Machine == k {
			return m
		}
	}
	return nil
}

func (s *store) byName(name string, match func(*tailcfg.Node, string) bool) (*member, error) {
	for _, m := range s.Nodes {
		if match(m.Node, name) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no node %q", name)
}

func (s *store) remove(m *member) {
	s.Nodes = slices.DeleteFunc(s.Nodes, func(o *member) bool { return o == m })
}

// add makes a new node, or gives the machine's node its new key.
func (s *store) add(machine key.MachinePublic, req *tailcfg.RegisterRequest) *member {
	m := s.byMachine(machine)
	if m == nil {
		id := s.NextID
		s.NextID++
		v4 := netip.AddrFrom4([4]byte{100, 64, byte(id >> 8), byte(id)})
		addresses := []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(tsaddr.Tailscale4To6(v4), 128)}
		m = &member{Node: &tailcfg.Node{
			ID: tailcfg.NodeID(id), StableID: tailcfg.StableNodeID(fmt.Sprintf("labreg%06d", id)),
			User: labUser.ID, Machine: machine, Addresses: addresses, AllowedIPs: addresses,
			Created: time.Now().UTC(), MachineAuthorized: true,
		}}
		s.Nodes = append(s.Nodes, m)
	}
	m.Node.Key = req.NodeKey
	m.Node.Cap = req.Version
	m.Node.KeyExpiry = time.Time{}
	if req.Expiry.After(time.Now()) {
		m.Node.KeyExpiry = req.Expiry
	}
	info := req.Hostinfo
	if info == nil {
		info = &tailcfg.Hostinfo{}
	}
	m.Node.Hostinfo = info.View()
	m.Node.Name = s.freeName(m, info.Hostname) + "." + baseDomain + "."
	return m
}

// freeName is a DNS label that no other node has.
func (s *store) freeName(self *member, hostname string) string {
	base := strings.Trim(strings.ToLower(hostname), "-.")
	if base == "" {
		base = "node"
	}
	for i := 0; ; i++ {
		label := base
		if i > 0 {
			label = fmt.Sprintf("%s-%d", base, i)
		}
		taken := slices.ContainsFunc(s.Nodes, func(m *member) bool {
			return m != self && m.Node.Name == label+"."+baseDomain+"."
		})
		if !taken {
			return label
		}
	}
}

func (m *member) expired() bool {
	return !m.Node.KeyExpiry.IsZero() && m.Node.KeyExpiry.Before(time.Now())
}
