package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"tailscale.com/tailcfg"
	"warrenvpn.org/tests/interop/internal/lab"
)

type netipAddrPort = netip.AddrPort

// The arguments of the commands. A node is named by id, host name, label,
// node key or address; an empty name means every node.
type (
	nodeArgs   struct{ Node string }
	authArgs   struct{ URL string }
	routesArgs struct {
		Node   string
		Routes []netip.Prefix
	}
	filterArgs struct {
		Node  string
		Rules *[]tailcfg.FilterRule // absent: back to "allow all"
	}
	messageArgs struct {
		Node     string
		Messages map[tailcfg.DisplayMessageID]*tailcfg.DisplayMessage
	}
	dnsArgs struct {
		Config *tailcfg.DNSConfig
	}
	sshArgs  struct{ Policy *tailcfg.SSHPolicy }
	capsArgs struct {
		Node string
		Caps tailcfg.NodeCapMap
	}
	appCapsArgs struct{ Caps tailcfg.PeerCapMap }
	editArgs    struct {
		Node      string
		KeyExpiry *time.Time
		Expire    bool // KeyExpiry one minute ago
		Name      *string
		Tags      *[]string
		User      *tailcfg.UserID
		Sharer    *tailcfg.UserID
		HomeDERP  *int
		Endpoints *[]netip.AddrPort
		Set       json.RawMessage // any fields of tailcfg.Node, laid over it
	}
	flagArgs struct {
		Node string
		On   *bool // absent: true
	}
	rawArgs struct {
		Node     string
		Response *tailcfg.MapResponse
	}
	peerArgs  struct{ Peer *tailcfg.Node } // without one: all such peers go
	derpArgs  struct{ Map *tailcfg.DERPMap }
	usersArgs struct{ Users []tailcfg.UserProfile }
	awaitArgs struct {
		Node      string
		TimeoutMS int
	}
)

func (c *control) commands() lab.Commands {
	return lab.Commands{
		"nodes":     lab.Command(c.cmdNodes),
		"mode":      lab.Command(c.cmdMode),
		"auth":      lab.Command(c.cmdAuth),
		"approve":   lab.Command(c.cmdApprove),
		"routes":    lab.Command(c.cmdRoutes),
		"filter":    lab.Command(c.cmdFilter),
		"messages":  lab.Command(c.cmdMessages),
		"dns":       lab.Command(c.cmdDNS),
		"ssh":       lab.Command(func(a sshArgs) (any, error) { c.srv.SetSSHPolicy(a.Policy); c.wakeAll(); return nil, nil }),
		"caps":      lab.Command(c.cmdCaps),
		"appcaps":   lab.Command(func(a appCapsArgs) (any, error) { c.srv.SetGlobalAppCaps(a.Caps); c.wakeAll(); return nil, nil }),
		"node":      lab.Command(c.cmdNode),
		"remove":    lab.Command(c.cmdRemove),
		"refuse":    lab.Command(c.cmdRefuse),
		"drop":      lab.Command(c.cmdDrop),
		"raw":       lab.Command(c.cmdRaw),
		"c2n":       lab.Command(c.cmdC2N),
		"ping":      lab.Command(c.cmdPing),
		"peer":      lab.Command(c.cmdPeer),
		"synth":     lab.Command(c.cmdSynth),
		"expireall": lab.Command(c.cmdExpireAll),
		"derpmap":   lab.Command(c.cmdDERPMap),
		"users":     lab.Command(c.cmdUsers),
		"await":     lab.Command(c.cmdAwait),
	}
}

func (c *control) pick(name string) (*tailcfg.Node, error) { return lab.Pick(c.nodes(), name) }

// pickID is pick for commands that also mean "every node" (id 0).
func (c *control) pickID(name string) (tailcfg.NodeID, error) {
	if name == "" {
		return 0, nil
	}
	n, err := c.pick(name)
	if err != nil {
		return 0, err
	}
	return n.ID, nil
}

func (c *control) cmdNodes(struct{}) (any, error) {
	type entry struct {
		*tailcfg.Node
		Connected bool
	}
	entries := []entry{}
	for _, n := range c.nodes() {
		c.mu.Lock()
		entries = append(entries, entry{n, c.streams[n.ID] != nil})
		c.mu.Unlock()
	}
	return entries, nil
}

func (c *control) cmdMode(m mode) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, _ := json.Marshal(m)
	json.Unmarshal(b, &c.mode)
	if m.RequireAuth != nil {
		c.srv.RequireAuth = *m.RequireAuth
	}
	if m.RequireAuthKey != nil {
		c.srv.RequireAuthKey = *m.RequireAuthKey
	}
	if m.RequireMachineAuth != nil {
		c.srv.RequireMachineAuth = *m.RequireMachineAuth
	}
	return c.mode, nil
}

func (c *control) cmdAuth(a authArgs) (any, error) {
	if !c.srv.CompleteAuth(a.URL) {
		return nil, fmt.Errorf("no login is waiting at %q", a.URL)
	}
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdApprove(a nodeArgs) (any, error) {
	n, err := c.pick(a.Node)
	if err != nil {
		return nil, err
	}
	base := c.srv.BaseURL()
	if !c.srv.CompleteDeviceApproval(base, base+"/admin", &n.Key) {
		return nil, fmt.Errorf("cannot approve %q", a.Node)
	}
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdRoutes(a routesArgs) (any, error) {
	n, err := c.pick(a.Node)
	if err != nil {
		return nil, err
	}
	c.srv.SetSubnetRoutes(n.Key, a.Routes)
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdFilter(a filterArgs) (any, error) {
	id, err := c.pickID(a.Node)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if a.Rules == nil {
		delete(c.filters, id)
	} else {
		c.filters[id] = append([]tailcfg.FilterRule{}, *a.Rules...)
	}
	c.mu.Unlock()
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdMessages(a messageArgs) (any, error) {
	n, err := c.pick(a.Node)
	if err != nil {
		return nil, err
	}
	all := map[tailcfg.DisplayMessageID]*tailcfg.DisplayMessage{"*": nil}
	for k, v := range a.Messages {
		all[k] = v
	}
	c.mu.Lock()
	c.messages[n.ID] = all
	c.mu.Unlock()
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdDNS(a dnsArgs) (any, error) {
	c.srv.DNSConfig = a.Config
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdCaps(a capsArgs) (any, error) {
	n, err := c.pick(a.Node)
	if err != nil {
		return nil, err
	}
	c.srv.SetNodeCapMap(n.Key, a.Caps)
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdNode(a editArgs) (any, error) {
	n, err := c.pick(a.Node)
	if err != nil {
		return nil, err
	}
	if len(a.Set) > 0 {
		if err := json.Unmarshal(a.Set, n); err != nil {
			return nil, err
		}
	}
	if a.KeyExpiry != nil {
		n.KeyExpiry = *a.KeyExpiry
	}
	if a.Expire {
		n.KeyExpiry = time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	}
	if a.Name != nil {
		n.Name = *a.Name
	}
	if a.Tags != nil {
		n.Tags = *a.Tags
	}
	if a.User != nil {
		n.User = *a.User
	}
	if a.Sharer != nil {
		n.Sharer = *a.Sharer
	}
	if a.HomeDERP != nil {
		n.HomeDERP = *a.HomeDERP
	}
	if a.Endpoints != nil {
		n.Endpoints = *a.Endpoints
	}
	c.srv.UpdateNode(n)
	c.wakeAll()
	return n, nil
}

func (c *control) cmdRemove(a flagArgs) (any, error) {
	return nil, c.mark(c.removed, a)
}

func (c *control) cmdRefuse(a flagArgs) (any, error) {
	return nil, c.mark(c.refused, a)
}

// mark sets or clears a node in one of the sets and ends its stream when set.
func (c *control) mark(set map[tailcfg.NodeID]bool, a flagArgs) error {
	n, err := c.pick(a.Node)
	if err != nil {
		return err
	}
	c.mu.Lock()
	set[n.ID] = a.On == nil || *a.On
	if s := c.streams[n.ID]; s != nil && set[n.ID] {
		s.stop()
	}
	c.mu.Unlock()
	c.wakeAll()
	return nil
}

func (c *control) cmdDrop(a nodeArgs) (any, error) {
	id, err := c.pickID(a.Node)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for sid, s := range c.streams {
		if id == 0 || sid == id {
			s.stop()
		}
	}
	return nil, nil
}

func (c *control) streamOf(name string) (*stream, error) {
	n, err := c.pick(name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[n.ID]
	if s == nil {
		return nil, fmt.Errorf("%q is not connected", name)
	}
	return s, nil
}

func (c *control) cmdRaw(a rawArgs) (any, error) {
	s, err := c.streamOf(a.Node)
	if err != nil {
		return nil, err
	}
	if a.Response == nil {
		return nil, fmt.Errorf("no Response")
	}
	select {
	case s.raw <- a.Response:
		return nil, nil
	default:
		return nil, fmt.Errorf("%q does not read", a.Node)
	}
}

func (c *control) cmdExpireAll(a flagArgs) (any, error) {
	expired := a.On == nil || *a.On
	for _, n := range c.nodes() {
		n.KeyExpiry = time.Time{}
		if expired {
			n.KeyExpiry = time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
		}
		c.srv.UpdateNode(n)
	}
	c.srv.SetExpireAllNodes(expired)
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdDERPMap(a derpArgs) (any, error) {
	if a.Map == nil {
		return nil, fmt.Errorf("no Map")
	}
	a.Map.OmitDefaultRegions = true
	c.srv.DERPMap = a.Map
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdUsers(a usersArgs) (any, error) {
	c.mu.Lock()
	c.users = a.Users
	c.mu.Unlock()
	c.wakeAll()
	return nil, nil
}

func (c *control) cmdAwait(a awaitArgs) (any, error) {
	deadline := time.Now().Add(time.Duration(a.TimeoutMS) * time.Millisecond)
	for {
		_, err := c.streamOf(a.Node)
		if err == nil || time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
