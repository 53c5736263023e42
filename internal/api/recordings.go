package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"serin"
	"serin/internal/recording"
)

func (h *handler) record(r *http.Request) (any, error) {
	in, err := read[recording.Request](r)
	if err != nil {
		return nil, err
	}
	if _, _, err := h.Control.Alias(in.Function, in.Alias); err != nil {
		return nil, err
	}
	return h.Recordings.Start(in, serin.ActorFrom(r.Context()))
}

func (h *handler) recordings(*http.Request) (any, error) { return h.Recordings.List() }

func (h *handler) recording(r *http.Request) (any, error) {
	return h.Recordings.Get(r.PathValue("id"))
}

func (h *handler) stopRecording(r *http.Request) (any, error) {
	return h.Recordings.Stop(r.PathValue("id"))
}

func (h *handler) deleteRecording(r *http.Request) (any, error) {
	return struct{}{}, h.Recordings.Delete(r.PathValue("id"))
}

func (h *handler) recordingFile(w http.ResponseWriter, r *http.Request) {
	f, err := h.Recordings.File(r.PathValue("id"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/jsonl")
	_, _ = io.Copy(w, f) // the caller is gone
}

// Record begins a recording of an alias.
func (c *Client) Record(ctx context.Context, in recording.Request) (*recording.Status, error) {
	return call[recording.Status](ctx, c, http.MethodPost, "recordings", in)
}

// Recordings returns all recordings, the newest first.
func (c *Client) Recordings(ctx context.Context) ([]recording.Status, error) {
	all, err := call[[]recording.Status](ctx, c, http.MethodGet, "recordings", nil)
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Recording returns a recording.
func (c *Client) Recording(ctx context.Context, id string) (*recording.Status, error) {
	return call[recording.Status](ctx, c, http.MethodGet, "recordings/"+url.PathEscape(id), nil)
}

// StopRecording ends a recording before its time.
func (c *Client) StopRecording(ctx context.Context, id string) (*recording.Status, error) {
	return call[recording.Status](ctx, c, http.MethodPost, "recordings/"+url.PathEscape(id)+"/stop", nil)
}

// DeleteRecording removes a recording.
func (c *Client) DeleteRecording(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, "recordings/"+url.PathEscape(id), nil)
	return err
}

// RecordingFile returns what was recorded: at most [recording.MaxFile] bytes.
func (c *Client) RecordingFile(ctx context.Context, id string) ([]byte, error) {
	status, text, err := c.exchange(ctx, http.MethodGet, "recordings/"+url.PathEscape(id)+"/file", nil)
	if err != nil {
		return nil, err
	}
	if status >= http.StatusMultipleChoices {
		return nil, remoteError(status, text)
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("recording %s is empty", id)
	}
	return text, nil
}
