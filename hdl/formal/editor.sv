// editor: a beat comes out four clocks behind each slot, marked as the slot is, with the sideband of its copy; each copy has
// one ending, with its last beat; a copy that is not edited leaves as its bytes were. An edit is there from the clock before its
// copy's first slot to the one behind its last, and the next slot comes three clocks behind that.
// Slots without bytes of the packet come first; a copy without a prefix has none.
reg f_open = 0;
reg f_packet = 0;
reg f_edited_plain = 0;
// Nothing in front, nothing taken away, nothing edited.
reg f_was = 0;
reg [1:0] f_rest = 0;
reg [$bits(edit)-1:0] f_edit;
wire f_plain = edit.prefix == 0 && edit.strip == 0 && !edit.l2_valid;
always @(posedge clk) begin
    if (slot_valid) assume (slot.first == !f_open);
    if (slot_valid) assume (slot.starts == (slot.packet && (slot.first || !f_packet)));
    if (slot_valid && f_open) assume (slot.packet || !f_packet);
    f_was <= slot_valid;
    f_edit <= edit;
    f_rest <= rst ? 0 : slot_valid && slot.last ? 2 : f_rest - (f_rest != 0);
    if (slot_valid || f_open || f_was) assume (edit == f_edit);
    if (slot_valid) assume (f_rest == 0);
    if (slot_valid && f_plain) assume (slot.packet);
    if (rst) f_open <= 0;
    else if (slot_valid) begin
        f_open <= ~slot.last;
        f_packet <= slot.packet;
        f_edited_plain <= f_plain;
    end
end
reg [3:0] f_valid = 0;
reg [$bits(slot)-1:0] f_s1, f_s2, f_s3, f_s4;
reg [$bits(kept)-1:0] f_k1, f_k2, f_k3, f_k4;
reg [3:0] f_o1, f_o2, f_o3;
reg f_p1, f_p2, f_p3, f_p4;
reg [$bits(even)-1:0] f_d1, f_d2;
wire [$bits(even)-1:0] f_row = f_s2[3] ? odd : even;
always @(posedge clk) begin
    f_valid <= rst ? 0 : {f_valid[2:0], slot_valid};
    {f_s1, f_s2, f_s3, f_s4} <= {slot, f_s1, f_s2, f_s3};
    {f_k1, f_k2, f_k3, f_k4} <= {kept, f_k1, f_k2, f_k3};
    {f_o1, f_o2, f_o3} <= {out_port, f_o1, f_o2};
    {f_p1, f_p2, f_p3, f_p4} <= {f_plain, f_p1, f_p2, f_p3};
    {f_d1, f_d2} <= {f_s2[4] ? f_row : {$bits(even){1'b0}}, f_d1};
end
// Bytes before the last beat of the copy that comes out.
reg [13:0] f_sent = 0;
wire [13:0] f_before = f_s4[0] ? 0 : f_sent;
wire [13:0] f_with = f_before + BUS_BYTES;
wire [13:0] f_length = f_before + f_s4[11:7];
always @(posedge clk) if (f_valid[3]) f_sent <= f_with;
// What the slots so far say, at the place where bytes are edited and, slot by slot, back to the input: is the copy open,
// not edited, has it had bytes of the packet.
reg [2:0] f_there = 0;
wire [2:0] f_state3 = f_valid[2] ? {~f_s3[6], f_p3, f_s3[2]} : f_there;
wire [2:0] f_state2 = f_valid[1] ? {~f_s2[6], f_p2, f_s2[2]} : f_state3;
wire [2:0] f_state1 = f_valid[0] ? {~f_s1[6], f_p1, f_s1[2]} : f_state2;
always @(posedge clk) f_there <= rst ? 0 : f_state3;
wire f_fits3 = f_s3[0] == !f_there[2] && f_s3[1] == (f_s3[2] && (f_s3[0] || !f_there[0])) && (f_s3[0] || f_p3 == f_there[1]) && (f_s3[2] || !f_p3);
wire f_fits2 = f_s2[0] == !f_state3[2] && f_s2[1] == (f_s2[2] && (f_s2[0] || !f_state3[0])) && (f_s2[0] || f_p2 == f_state3[1]) && (f_s2[2] || !f_p2);
wire f_fits1 = f_s1[0] == !f_state2[2] && f_s1[1] == (f_s1[2] && (f_s1[0] || !f_state2[0])) && (f_s1[0] || f_p1 == f_state2[1]) && (f_s1[2] || !f_p1);
always @(posedge clk) if (!rst) begin
    four_clocks_behind: assert (valid == f_valid[3]);
    announced_a_clock_before: assert (soon == f_valid[2] && (!soon || soon_first == f_s3[0] && soon_port == f_o3));
    if (valid) marked_as_the_slot: assert (out.first == f_s4[0] && out.last == f_s4[6]);
    if (valid) full_but_for_the_last: assert (out.count == (f_s4[6] ? f_s4[11:7] : BUS_BYTES) && out.error == (f_s4[6] & f_s4[12]));
    if (valid) sideband_is_the_copys: assert (out_meta == f_k4);
    one_ending_a_copy: assert (end_valid == (valid & out.last));
    if (end_valid) ending_says_the_length: assert (ending.length_out == f_length && ending.error == out.error);
    if (valid && f_p4 && f_s4[2]) unedited_as_it_was: assert (out.data == f_d2);
    // So that it holds by induction.
    slots_on_their_way: assert ({slot_valid_3, slot_valid_d2, slot_valid_d1} == f_valid[2:0]);
    if (f_valid[0]) slots_as_they_were: assert (slot_d1 == f_s1);
    if (f_valid[1]) slots_as_they_were_2: assert (in_slot == f_s2);
    if (f_valid[2]) slots_as_they_were_3: assert (slot_3 == f_s3);
    if (f_there[2]) sent_is_counted: assert (bytes_before == (f_valid[3] ? f_with : f_sent));
    slots_are_in_order: assert ((!f_valid[2] || f_fits3) && (!f_valid[1] || f_fits2) && (!f_valid[0] || f_fits1));
    input_goes_on: assert (f_state1[2] == f_open && (!f_open || f_state1[1:0] == {f_edited_plain, f_packet}));
    if (f_open) edit_goes_on: assert (f_edited_plain == f_plain);
    if (f_open && !begins_d1) sideband_is_kept: assert (meta_q == kept);
end
