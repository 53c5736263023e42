package api

import (
	"cmp"
	"net/http"

	"serin"
)

// routing shows how versions are picked.
func (h *handler) routing(r *http.Request) (any, error) {
	function, alias := r.PathValue("function"), r.PathValue("alias")
	f, ok := h.Control.Table.Function(function)
	if !ok || f.Aliases[alias] == nil && alias != serin.Latest.String() {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", h.Control.Place.FunctionARN(function, alias))
	}
	return routingDocument(function, alias, f.RouteSettingsAt(alias)), nil
}

// reroute changes it.
func (h *handler) reroute(r *http.Request) (any, error) {
	in, err := read[RoutingRequest](r)
	if err != nil {
		return nil, err
	}
	if in.Pins != nil {
		if _, err := serin.ParsePinPolicy(string(*in.Pins)); err != nil {
			return nil, err
		}
	}
	function, alias := r.PathValue("function"), r.PathValue("alias")
	s, err := h.Control.UpdateRouteSettings(r.Context(), function, alias, serin.RouteSettingsUpdate{Key: in.RoutingKey, Pins: in.Pins})
	if err != nil {
		return nil, err
	}
	return routingDocument(function, alias, s), nil
}

func routingDocument(function, alias string, s serin.RouteSettings) RoutingDocument {
	return RoutingDocument{Function: function, Alias: alias, RoutingKey: s.Key, Pins: cmp.Or(s.Pins, serin.PinsSigned)}
}
