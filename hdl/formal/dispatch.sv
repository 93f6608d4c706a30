// dispatch: a copy goes to its output whole or not at all, and the event of its end says which. What stands in front
// says of each beat a clock before that it comes, the output the same for all of a frame; with the beats whether the host's
// limit drops the frame, the same in all of them and only for the host, and an ending with each last beat.
localparam F_HOST = $bits(push) - 1;
wire [3:0] f_port = soon_port;
reg f_open = 0;
reg [3:0] f_to = 0;
reg f_sent = 0;
reg f_valid = 0;
reg f_first = 0;
reg f_last_before = 0;
reg [3:0] f_was_to = 0;
reg f_was_sent = 0;
reg f_limited = 0;
reg f_ended = 0;
reg f_error = 0;
reg f_end_sent = 0;
reg f_end_limited = 0;
(* anyseq *) wire f_last;
wire [$bits(room)-1:0] f_place = 1 << f_port;
wire f_fits = soon_first ? |(room & f_place) : f_sent;
always @(posedge clk) begin
    if (soon) assume (soon_first == !f_open);
    if (soon && f_open) assume (f_port == f_to);
    // With the beats.
    if (f_valid && !f_first) assume (limited == f_limited);
    if (f_valid && f_was_to != F_HOST) assume (!limited);
    assume (end_valid == (f_valid && f_last_before));
    f_valid <= soon & ~rst;
    f_first <= soon_first;
    f_last_before <= f_last;
    f_was_to <= f_port;
    f_was_sent <= f_fits;
    if (f_valid) f_limited <= limited;
    f_ended <= end_valid & ~rst;
    f_error <= ending.error;
    f_end_sent <= f_was_sent;
    f_end_limited <= limited;
    if (rst) f_open <= 0;
    else if (soon) begin
        f_open <= ~f_last;
        f_to <= f_port;
        f_sent <= f_fits;
    end
end
wire [$bits(push)-1:0] f_was_place = 1 << f_was_to;
always @(posedge clk) if (!rst) begin
    whole_or_not_at_all: assert (push == (f_valid && f_was_sent && !limited ? f_was_place : 0));
    if (f_valid) decision_comes_along: assert (taken_q == f_was_sent);
    every_end_is_an_event: assert (event_valid == f_ended);
    if (f_ended && !f_error) event_says_whether: assert (event_data.limited == f_end_limited && (f_end_limited || event_data.sent == f_end_sent));
    if (f_open) decision_is_kept: assert (taken_q == f_sent);
end
