package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/util/rands"
)

// pings are the questions to nodes whose answers come back on another request.
type pings struct {
	srv *testcontrol.Server

	mu      sync.Mutex
	waiting map[string]chan answer
}

type answer struct {
	Status int    `json:",omitempty"` // of a C2N response
	Method string `json:",omitempty"` // of the request with which a ping was answered
	Body   string
}

type c2nArgs struct {
	Node, Method, Path, Body string
	TimeoutMS                int
}

type pingArgs struct {
	Node      string
	Types     string // empty: the node makes a HEAD request
	IP        netip.Addr
	TimeoutMS int
}

func newPings(srv *testcontrol.Server) *pings {
	return &pings{srv: srv, waiting: map[string]chan answer{}}
}

func (p *pings) expect(token string) chan answer {
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.waiting[token] = ch
	p.mu.Unlock()
	return ch
}

// answered records the answer to a ping; false if nobody asked.
func (p *pings) answered(token string, r *http.Request) bool {
	p.mu.Lock()
	ch := p.waiting[token]
	delete(p.waiting, token)
	p.mu.Unlock()
	if ch == nil {
		return false
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	ch <- answer{Method: r.Method, Body: string(body)}
	return true
}

// ask sends the request to the node and waits for what comes back.
func (c *control) ask(node string, pr *tailcfg.PingRequest, ch chan answer, timeoutMS int) (any, error) {
	s, err := c.streamOf(node)
	if err != nil {
		return nil, err
	}
	if timeoutMS == 0 {
		timeoutMS = 5000
	}
	s.raw <- &tailcfg.MapResponse{PingRequest: pr}
	select {
	case a := <-ch:
		return a, nil
	case <-time.After(time.Duration(timeoutMS) * time.Millisecond):
		return nil, fmt.Errorf("%q did not answer", node)
	}
}

func (c *control) cmdPing(a pingArgs) (any, error) {
	token := rands.HexString(16)
	pr := &tailcfg.PingRequest{
		URL: c.srv.BaseURL() + "/machine/ping-response?id=" + token, Types: a.Types, IP: a.IP, Log: true,
	}
	return c.ask(a.Node, pr, c.pings.expect(token), a.TimeoutMS)
}

func (c *control) cmdC2N(a c2nArgs) (any, error) {
	if a.Method == "" {
		a.Method = "GET"
	}
	req, err := http.NewRequest(a.Method, "http://node"+a.Path, bytes.NewReader([]byte(a.Body)))
	if err != nil {
		return nil, err
	}
	var payload bytes.Buffer
	if err := req.Write(&payload); err != nil {
		return nil, err
	}
	base, err := url.Parse(c.srv.BaseURL())
	if err != nil {
		return nil, err
	}
	token := rands.HexString(16)
	ch := make(chan answer, 1)
	c.srv.C2NResponses.Store(token, func(res *http.Response) {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		ch <- answer{Status: res.StatusCode, Body: string(body)}
	})
	// With the control server's own host the node answers on the connection it has.
	pr := &tailcfg.PingRequest{
		URL: "https://" + base.Host + "/c2n/" + token, Types: "c2n", Payload: payload.Bytes(), Log: true,
	}
	return c.ask(a.Node, pr, ch, a.TimeoutMS)
}
